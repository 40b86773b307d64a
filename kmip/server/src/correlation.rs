//! Correlation Values: names that the server draws for what a client comes back to, so that nobody else can guess them.

use crate::refusal::{Outcome, fail};

const CORRELATION_BYTES: usize = 16;

/// By which name a client comes back.
pub(crate) type Correlation = [u8; CORRELATION_BYTES];

pub(crate) fn draw() -> Outcome<Correlation> {
    let mut name = [0; CORRELATION_BYTES];
    let drawn = aws_lc_rs::rand::fill(&mut name);
    drawn.map_err(|_| fail(kmip::ResultReason::GeneralFailure, "no random bytes for a Correlation Value"))?;
    Ok(name)
}
