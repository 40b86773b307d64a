//! Two servers in turn: what each round measured of them, and the row of a table that the rounds make.

use super::{
    servers::Measured,
    stats::{self, Aim},
};

/// What one round measured.
pub struct Round {
    /// The server that the region is compared with.
    pub other: Measured,
    pub region: Measured,
}

/// A row without its figures.
pub struct Row<'a> {
    pub operation: &'a str,
    /// In use at once.
    pub connections: usize,
    /// What the region's CPU time is to be of the other's.
    pub cpu: Aim,
    /// What the region's throughput is to be of the other's.
    pub throughput: Aim,
}

/// The head of a table whose rows compare with `other`, of so many `units` a second.
pub fn head(other: &str, units: &str) -> String {
    format!(
        "| operation | connections | {other} CPU us | KMIP CPU us | CPU, times {other}'s | {other} {units}/s | KMIP {units}/s | throughput, times {other}'s | {other} p50 / p99 us | KMIP p50 / p99 us |\n\
         |---|---|---|---|---|---|---|---|---|---|"
    )
}

impl Row<'_> {
    /// Medians over the rounds; ratios are of the two windows of one round.
    pub fn line(&self, rounds: &[Round]) -> String {
        let each = |of: &dyn Fn(&Round) -> f64| rounds.iter().map(of).collect::<Vec<_>>();
        let middle = |of: &dyn Fn(&Round) -> f64| stats::median(&mut each(of));
        let cpu = each(&|round| round.region.cpu_us / round.other.cpu_us);
        let throughput = each(&|round| round.region.window.per_second() / round.other.window.per_second());
        format!(
            "| {} | {} | {:.1} | {:.1} | {} | {:.0} | {:.0} | {} | {:.0} / {:.0} | {:.0} / {:.0} |",
            self.operation,
            self.connections,
            middle(&|round| round.other.cpu_us),
            middle(&|round| round.region.cpu_us),
            self.cpu.judge(&cpu),
            middle(&|round| round.other.window.per_second()),
            middle(&|round| round.region.window.per_second()),
            self.throughput.judge(&throughput),
            middle(&|round| round.other.window.tail_us()[0]),
            middle(&|round| round.other.window.tail_us()[1]),
            middle(&|round| round.region.window.tail_us()[0]),
            middle(&|round| round.region.window.tail_us()[1]),
        )
    }
}
