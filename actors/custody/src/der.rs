//! The little of DER that keys need (X.690 §8.1, §10.1): one element read, elements written into a buffer that is wiped.

use zeroize::Zeroizing;

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`.
pub(crate) const CONTEXT_0: u8 = 0xA0;
/// `[1] EXPLICIT`.
pub(crate) const CONTEXT_1: u8 = 0xA1;

/// Room for the longest key that the vault holds, so that growing never leaves a copy of a private key behind.
const KEY_BYTES_MAX: usize = crate::vault::SECRET_BYTES_MAX;

/// The first element of DER: its tag, its content, what follows.
pub(crate) fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The content of the first element, if it has this tag, and what follows.
pub(crate) fn expect(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(der)?;
    (found == tag).then_some((content, rest))
}

/// The content of an element of this tag that nothing follows.
pub(crate) fn only(tag: u8, der: &[u8]) -> Option<&[u8]> {
    expect(tag, der).filter(|(_, rest)| rest.is_empty()).map(|(content, _)| content)
}

/// An INTEGER that is not negative, big-endian without leading zeros, and what follows.
pub(crate) fn unsigned(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, rest) = expect(INTEGER, der)?;
    let is_negative = content.first().is_none_or(|first| first & 0x80 != 0);
    (!is_negative).then(|| (trimmed(content), rest))
}

/// Without leading zeros.
pub(crate) fn trimmed(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// Elements as they are written.
pub(crate) struct Der(Zeroizing<Vec<u8>>);

impl Der {
    pub(crate) fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(KEY_BYTES_MAX)))
    }

    /// Adds an element; `None` if it does not fit a key.
    pub(crate) fn put(mut self, tag: u8, content: &[&[u8]]) -> Option<Self> {
        let length = content.iter().map(|part| part.len()).sum::<usize>();
        let bytes = u16::try_from(length).ok()?.to_be_bytes();
        let head: &[u8] = match (length, &bytes) {
            (0..=0x7f, [_, low]) => &[tag, *low],
            (0x80..=0xff, [_, low]) => &[tag, 0x81, *low],
            (_, [high, low]) => &[tag, 0x82, *high, *low],
        };
        if self.0.len() + head.len() + length > KEY_BYTES_MAX {
            return None;
        }
        self.0.extend_from_slice(head);
        content.iter().for_each(|part| self.0.extend_from_slice(part));
        Some(self)
    }

    /// Adds a number that is not negative.
    pub(crate) fn unsigned(self, number: &[u8]) -> Option<Self> {
        let number = trimmed(number);
        let sign: &[u8] = if number.first().is_none_or(|first| first & 0x80 != 0) { &[0] } else { &[] };
        self.put(INTEGER, &[sign, number])
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_der_are_read_and_not_believed() {
        assert_eq!(element(&[4, 2, 7, 8, 9]), Some((4, &[7, 8][..], &[9][..])));
        assert_eq!(element(&[4, 0x82, 0, 1, 7]), Some((4, &[7][..], &[][..])));
        for wrong in
            [&[][..], &[4], &[4, 2, 7], &[4, 0x80, 7], &[4, 0x85, 0, 0, 0, 0, 1, 7], &[4, 0x84, 0xff, 0xff, 0xff, 0xff]]
        {
            assert_eq!(element(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for bytes in [0, 1, 127, 128, 255, 256, 4000] {
            let content = vec![7; bytes];
            let der = Der::new().put(OCTET_STRING, &[&content]).unwrap();
            assert_eq!(only(OCTET_STRING, der.bytes()), Some(&content[..]), "{bytes}");
            assert_eq!(only(SEQUENCE, der.bytes()), None);
        }
        assert!(Der::new().put(OCTET_STRING, &[&[0; KEY_BYTES_MAX]]).is_none());
        for (number, der) in [(&[][..], &[2, 1, 0][..]), (&[0, 0, 5], &[2, 1, 5]), (&[0x80], &[2, 2, 0, 0x80])] {
            assert_eq!(Der::new().unsigned(number).unwrap().bytes(), der);
            assert_eq!(unsigned(der), Some((trimmed(number), &[][..])));
        }
        assert_eq!(unsigned(&[2, 1, 0x80]), None, "negative");
        assert_eq!(unsigned(&[2, 0]), None, "no number");
    }
}
