//! The frame around operations: headers, batch items, results (KMIP 1.4 §6, §7).

mod answer;
mod credential;
mod request;

pub use answer::{AnswerHeader, AnswerItem, AnswerMessage, AnswerWriter, Failure, ItemHead};
pub use request::{Refused, RequestHeader, RequestItem, RequestMessage, RequestWriter};

/// Most items in one batch. The Tape Library profile needs 32.
pub const BATCH_ITEMS_MAX: usize = 64;
