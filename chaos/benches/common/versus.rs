//! Something of the product in turn with the bare thing below it, in one thread.

use std::{hint::black_box, time::Instant};

use super::{
    Res,
    stats::{self, Aim},
};

/// One side: what is done, which says whether it went as it should, and how often for one sample.
pub struct Side<'a> {
    pub does: &'a dyn Fn() -> bool,
    pub times: usize,
    /// What one sample's time is divided by.
    pub over: usize,
}

impl Side<'_> {
    /// Microseconds of each sample.
    fn sample(&self, samples: usize) -> Res<Vec<f64>> {
        let mut all = Vec::with_capacity(samples);
        for _ in 0..samples {
            let began = Instant::now();
            let went = (0..self.times).all(|_| black_box((self.does)()));
            all.push(began.elapsed().as_secs_f64() * 1e6 / self.over as f64);
            if !went {
                return Err("what is measured does not go as it should".into());
            }
        }
        Ok(all)
    }
}

/// The cells of a row: p50 and p99 of each side in microseconds, and the ratio of the medians within a round.
pub fn cells(ours: &Side<'_>, bare: &Side<'_>, (rounds, samples): (usize, usize), digits: usize) -> Res<String> {
    let (mut all, mut all_bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (mut one, mut other) = (ours.sample(samples)?, bare.sample(samples)?);
        ratios.push(stats::median(&mut one) / stats::median(&mut other));
        all.append(&mut one);
        all_bare.append(&mut other);
    }
    let [[p50, p99, ..], [bare50, bare99, ..]] = [stats::tail(&all), stats::tail(&all_bare)];
    let ratio = Aim::None.judge(&ratios);
    Ok(format!("{p50:.digits$} / {p99:.digits$} | {bare50:.digits$} / {bare99:.digits$} | {ratio}"))
}
