//! The text of a checkpoint: whose ledger, how many entries, and the root of their tree (C2SP tlog-checkpoint, *Note text*).
//!
//! Signed, it is a note (`orbital::note`) which a witness may cosign and anybody can keep. The ledger only knows what it says.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::TreeHead;

/// Longest origin, in bytes.
pub const ORIGIN_BYTES_MAX: usize = 255;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ledger's own name, without spaces, such as `acme-sovereign/ledger`.
    pub origin: String,
    pub head: TreeHead,
}

/// Why a text is no checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the text is no checkpoint: {0}. It has three lines: the ledger's name, the number of entries, and 32 bytes of base64"
)]
pub struct BadCheckpoint(&'static str);

impl Checkpoint {
    /// Three lines, each with its line feed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.head.size, STANDARD.encode(self.head.root))
    }

    /// Reads the only spelling that [`Checkpoint::text`] writes. Extension lines are refused: no witness vouches for them.
    pub fn parse(text: &str) -> Result<Self, BadCheckpoint> {
        let mut lines = text.split_inclusive('\n');
        let [Some(origin), Some(size), Some(root), None] = std::array::from_fn(|_| lines.next()) else {
            return Err(BadCheckpoint("it has another number of lines"));
        };
        let origin = origin.trim_end_matches('\n').to_owned();
        let sound = |c: char| !c.is_whitespace() && !c.is_control();
        if !(1..=ORIGIN_BYTES_MAX).contains(&origin.len()) || !origin.chars().all(sound) {
            return Err(BadCheckpoint("its first line names no ledger"));
        }
        let size = size.trim_end_matches('\n').parse().map_err(|_| BadCheckpoint("its second line is no number"))?;
        let root = STANDARD.decode(root.trim_end_matches('\n')).ok().and_then(|root| root.try_into().ok());
        let root = root.ok_or(BadCheckpoint("its third line is no hash"))?;
        let read = Self { origin, head: TreeHead { size, root } };
        if read.text() == text {
            Ok(read)
        } else {
            Err(BadCheckpoint("it is spelled in another way than it is written"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of C2SP tlog-checkpoint.
    const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_example_of_the_specification_reads_and_no_other_spelling_does() {
        let read = Checkpoint::parse(EXAMPLE).unwrap();
        assert_eq!((read.origin.as_str(), read.head.size), ("example.com/behind-the-sofa", 20_852_163));
        assert_eq!(read.text(), EXAMPLE);
        let extended = format!("{EXAMPLE}more\n");
        let bad = [("2085", "02085"), ("2085", "+2085"), ("20852163", ""), ("I=\n", "I=\n\n"), ("I=\n", "I=")];
        let bad =
            bad.into_iter().chain([("example", "\nexample"), ("example", "an example"), ("I=", "J="), ("CsUY", "")]);
        for (old, new) in bad {
            assert!(Checkpoint::parse(&EXAMPLE.replacen(old, new, 1)).is_err(), "{old} -> {new}");
        }
        assert!(Checkpoint::parse(&extended).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_and_nothing_panics(size: u64, root: [u8; 32], any: String) {
            let made = Checkpoint { origin: "acme/ledger".into(), head: TreeHead { size, root } };
            prop_assert_eq!(Checkpoint::parse(&made.text()), Ok(made));
            prop_assert!(Checkpoint::parse(&any).is_err());
        }
    }
}
