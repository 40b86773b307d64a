//! Answers of Encrypt and Decrypt in one part, whose Data is computed straight into the message.
//!
//! The same fields in the same order as those of [`super::encrypt::Answer`] and [`super::decrypt::Answer`].

use crate::{
    tables::Tag,
    ttlv::{Writer, record},
};

/// Writes the fields up to Data, of which `fill` writes at most `room` bytes and answers how many it has. If it fails, the fields are
/// not to be used.
pub fn data<T, E>(
    writer: &mut Writer<'_>,
    unique_identifier: &str,
    room: usize,
    fill: impl FnOnce(&mut [u8]) -> Result<(usize, T), E>,
) -> Result<T, E> {
    writer.text(Tag::UNIQUE_IDENTIFIER, unique_identifier);
    writer.bytes_in_place(Tag::DATA, room, fill)
}

record! {
    /// What stands behind Data in an answer to Encrypt.
    pub struct Encrypted<'a> {
        /// Present if the server drew it.
        opt iv_counter_nonce: &'a [u8] = IV_COUNTER_NONCE V1_2,
        opt authentication_tag: &'a [u8] = AUTHENTICATED_ENCRYPTION_TAG V1_4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ops::{decrypt, encrypt},
        tables::ProtocolVersion,
        ttlv::Record,
    };

    fn written(version: ProtocolVersion, fields: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut out = vec![];
        fields(&mut Writer::new(&mut out, version));
        out
    }

    #[test]
    fn the_fields_are_those_of_the_answers() {
        let unique_identifier = "an object";
        for version in [ProtocolVersion::V1_2, ProtocolVersion::V1_3, ProtocolVersion::V1_4] {
            let in_place = |tail: Option<Encrypted<'_>>| {
                written(version, |writer| {
                    let filled = data(writer, unique_identifier, 16, |place| {
                        place[..5].copy_from_slice(b"bytes");
                        Ok::<_, ()>((5, ()))
                    });
                    filled.unwrap();
                    tail.iter().for_each(|tail| tail.write_fields(writer));
                })
            };
            let (data, correlation_value) = (Some(&b"bytes"[..]), None);
            for (iv, tag) in [(None, None), (Some(&[1; 12][..]), Some(&[2; 16][..])), (None, Some(&[3; 13][..]))] {
                let (iv_counter_nonce, authentication_tag) = (iv, tag);
                let whole = encrypt::Answer {
                    unique_identifier,
                    data,
                    iv_counter_nonce,
                    correlation_value,
                    authentication_tag,
                };
                let tail = Encrypted { iv_counter_nonce, authentication_tag };
                assert_eq!(in_place(Some(tail)), written(version, |writer| whole.write_fields(writer)));
            }
            let whole = decrypt::Answer { unique_identifier, data, correlation_value };
            assert_eq!(in_place(None), written(version, |writer| whole.write_fields(writer)));
        }
    }
}
