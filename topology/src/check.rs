//! The rules that compare one part of a file with another. Each is a pure function from the file's shape to findings.

mod addresses;
mod identities;
mod ledger;
pub(crate) mod notify;
mod planes;
mod providers;
mod references;
mod residency;
mod warnings;

use crate::{file::File, finding::Finding, login};

/// Every rule, in the order of their codes. Parts that could not be read are left out: they have findings already.
pub(crate) fn findings(file: &File) -> Vec<Finding> {
    const RULES: &[fn(&File, &mut Vec<Finding>)] = &[
        references::check,
        providers::check,
        residency::check,
        addresses::check,
        identities::check,
        planes::check,
        ledger::check,
        login::check,
        notify::check,
        warnings::check,
    ];
    let mut findings = Vec::new();
    RULES.iter().for_each(|rule| rule(file, &mut findings));
    findings
}
