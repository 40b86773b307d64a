//! What a certificate needs of DER (X.690 §8.1, §10.1), written. Nothing in it is secret.

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
/// `[0] IMPLICIT` of a string.
pub(super) const STRING_0: u8 = 0x80;
/// `[0] EXPLICIT`.
pub(super) const CONTEXT_0: u8 = 0xA0;
/// `[3] EXPLICIT`.
pub(super) const CONTEXT_3: u8 = 0xA3;

/// An element whose content is these parts, one behind the other; less than 16 MiB, which no message is.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let [.., third, second, first] = length.to_be_bytes();
    let head: &[u8] = match length {
        0..=0x7f => &[tag, first],
        0x80..=0xff => &[tag, 0x81, first],
        0x100..=0xffff => &[tag, 0x82, second, first],
        _ => &[tag, 0x83, third, second, first],
    };
    let mut der = Vec::with_capacity(head.len().saturating_add(length));
    der.extend_from_slice(head);
    parts.iter().for_each(|part| der.extend_from_slice(part));
    der
}

/// A string of whole bytes.
pub(super) fn bits(bytes: &[u8]) -> Vec<u8> {
    element(BIT_STRING, &[&[0], bytes])
}

/// The first of these bits is the highest; none of them is zero at the end (X.690 §11.2.2).
pub(super) fn named_bits(bits: u8) -> Vec<u8> {
    let unused = u8::try_from(bits.trailing_zeros()).unwrap_or_default();
    element(BIT_STRING, &[&[unused, bits]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_short_as_they_can_be() {
        for (bytes, head) in [
            (0, &[4, 0][..]),
            (127, &[4, 127]),
            (128, &[4, 0x81, 128]),
            (255, &[4, 0x81, 255]),
            (256, &[4, 0x82, 1, 0]),
            (65_536, &[4, 0x83, 1, 0, 0]),
        ] {
            let content = vec![7; bytes];
            assert_eq!(
                element(OCTET_STRING, &[&content[..bytes / 2], &content[bytes / 2..]]),
                [head, &content].concat()
            );
        }
        assert_eq!(named_bits(0b1010_0000), [3, 2, 5, 0b1010_0000]);
        assert_eq!(bits(&[1, 2]), [3, 3, 0, 1, 2]);
    }
}
