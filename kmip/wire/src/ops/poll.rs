//! Poll (KMIP 1.4 §4.28): asks for the result of an operation that was pending.

use crate::{
    error::WireError,
    tables::ProtocolVersion,
    ttlv::{Record, Structure, Writer, record},
};

record! {
    pub struct Request<'a> {
        need asynchronous_correlation_value: &'a [u8] = ASYNCHRONOUS_CORRELATION_VALUE V1_0,
    }
}

/// Without fields: a pending operation answers without payload, a completed one as itself.
pub struct Answer;

impl<'a> Record<'a> for Answer {
    fn read_fields(structure: Structure<'a>, version: ProtocolVersion) -> Result<Self, WireError> {
        structure.items().try_for_each(|item| structure.unknown(item.tag, version)).map(|()| Self)
    }

    fn write_fields(&self, _: &mut Writer<'_>) {}
}
