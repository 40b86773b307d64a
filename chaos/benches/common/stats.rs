//! Medians and percentiles.

use std::time::Duration;

/// Nearest-rank percentile, `share` from 0 to 1. Sorts. 0 for nothing.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil().max(1.0);
    // The first value whose rank, counted from 1, reaches the one asked for.
    let mut ranked = (1u32..).map(f64::from).zip(values.iter().copied());
    ranked.find(|(at, _)| *at >= rank).map_or(0.0, |(_, value)| value)
}

pub fn median(values: &mut [f64]) -> f64 {
    percentile(values, 0.5)
}

/// `median (lowest-highest)`.
pub fn spread(values: &[f64], digits: usize) -> String {
    let mut sorted = values.to_vec();
    let middle = median(&mut sorted);
    let (low, high) = (sorted.first().copied().unwrap_or(0.0), sorted.last().copied().unwrap_or(0.0));
    format!("{middle:.digits$} ({low:.digits$}-{high:.digits$})")
}

/// p50, p99, p99.9 and the largest.
pub fn tail(values: &[f64]) -> [f64; 4] {
    let mut sorted = values.to_vec();
    [0.5, 0.99, 0.999, 1.0].map(|share| percentile(&mut sorted, share))
}

/// p50 and p99 in milliseconds: `p50 / p99`.
pub fn tail_ms(times: &[Duration]) -> String {
    let [p50, p99, ..] = tail(&times.iter().map(|took| took.as_secs_f64() * 1e3).collect::<Vec<_>>());
    format!("{p50:.2} / {p99:.2}")
}

/// What a figure is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    None,
    AtMost(f64),
    AtLeast(f64),
}

impl Aim {
    /// `median (lowest-highest)` of ratios, and whether the median is what was aimed at.
    pub fn judge(self, ratios: &[f64]) -> String {
        let middle = median(&mut ratios.to_vec());
        let (words, aim, met) = match self {
            Self::None => ("", f64::INFINITY, true),
            Self::AtMost(most) => ("at most", most, middle <= most),
            Self::AtLeast(least) => ("at least", least, middle >= least),
        };
        // A small ratio needs its digits, and so does one that is nearly what was aimed at.
        let digits = if middle < 0.1 { 4 } else { 2 + usize::from((middle - aim).abs() < 0.005) };
        let spread = spread(ratios, digits);
        if words.is_empty() {
            spread
        } else {
            format!("{spread}, {words} {aim}: {}", if met { "met" } else { "missed" })
        }
    }
}
