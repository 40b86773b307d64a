//! Text that grows: like the TTLV writer's buffer it leaves none of its bytes behind in freed memory, since they may be a key's.

use std::mem;

use zeroize::{Zeroize, Zeroizing};

/// The text of a message while it is written.
pub(super) struct Text(Zeroizing<String>);

impl Text {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Zeroizing::new(String::with_capacity(bytes)))
    }

    pub(super) fn push(&mut self, more: &str) {
        if self.0.capacity() - self.0.len() < more.len() {
            let mut larger = String::with_capacity((self.0.len() + more.len()).next_power_of_two());
            larger.push_str(&self.0);
            self.0.zeroize();
            *self.0 = larger;
        }
        self.0.push_str(more);
    }

    pub(super) fn push_char(&mut self, c: char) {
        self.push(c.encode_utf8(&mut [0; 4]));
    }

    /// Two hexadecimal digits a byte.
    pub(super) fn push_hex(&mut self, bytes: &[u8]) {
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] {
                self.push_char(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
    }

    pub(super) fn finish(mut self) -> String {
        mem::take(&mut *self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_grows_by_itself_and_hexadecimal_digits_are_low() {
        let mut text = Text::with_capacity(12);
        text.push_hex(&[0x00, 0x9F, 0xA5, 0xFF]);
        for _ in 0..100 {
            text.push("é");
            // Only `push` makes room in powers of two; room that `String` made would leave the old bytes as they were.
            assert!(text.0.capacity() == 12 || text.0.capacity().is_power_of_two());
        }
        assert_eq!(text.finish(), format!("009fa5ff{}", "é".repeat(100)));
    }
}
