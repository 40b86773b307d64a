//! RNG Retrieve and RNG Seed (KMIP 1.4 §4.35, §4.36): random bytes of the region's own generator.

use kmip::{
    ResultReason,
    ops::{Answer, rng_retrieve, rng_seed},
};
use policy::Permitted;
use zeroize::Zeroizing;

use super::Turn;
use crate::refusal::{Outcome, fail, invalid_field};

/// Most random bytes of one answer.
const RANDOM_BYTES_MAX: usize = 64 * 1024;

pub(super) fn retrieve(turn: &mut Turn<'_, '_>, _: Permitted, request: &rng_retrieve::Request) -> Outcome<()> {
    let wanted = usize::try_from(request.data_length).ok().filter(|bytes| (1..=RANDOM_BYTES_MAX).contains(bytes));
    let wanted = wanted.ok_or_else(|| {
        invalid_field(format!(
            "Data Length is {}; 1 to {RANDOM_BYTES_MAX} bytes are given at once",
            request.data_length
        ))
    })?;
    let mut data = Zeroizing::new(vec![0; wanted]);
    let drawn = aws_lc_rs::rand::fill(&mut data);
    drawn.map_err(|_| fail(ResultReason::GeneralFailure, "this node's random generator failed; try again"))?;
    turn.success(&Answer::RngRetrieve(rng_retrieve::Answer { data: &data }));
    Ok(())
}

/// The generator seeds itself from the kernel, and a client's bytes could only do harm: none is used, as the answer says (§4.36 allows it).
pub(super) fn seed(turn: &mut Turn<'_, '_>, _: Permitted, request: &rng_seed::Request<'_>) -> Outcome<()> {
    if request.data.is_empty() {
        return Err(invalid_field("Data is empty"));
    }
    turn.success(&Answer::RngSeed(rng_seed::Answer { data_length: 0 }));
    Ok(())
}
