//! A small file that is rewritten in place and survives a crash at any byte: two halves, written in turn.
//!
//! Each half is `magic (8) · sequence (8) · length (4) · tag (32) · content`. A write goes to the half that does *not* hold the
//! newest content and is synced before it counts; a reader takes the valid half of the highest sequence. All space is taken when
//! the file is made (zeros written, synced), so a write in place needs none: a kill can be made durable on a full disk
//! (PROTOCOL §6). A file system that copies on write breaks that promise; the node's documentation names those that keep it.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::{
    error::Error,
    mac::{NodeKey, TAG_BYTES},
};

const MAGIC: &[u8; 8] = b"KCMPAIR1";
const HEADER_BYTES: usize = 8 + 8 + 4 + TAG_BYTES;

/// An open pair.
pub(crate) struct Pair {
    file: File,
    path: PathBuf,
    domain: &'static str,
    half_bytes: usize,
    sequence: u64,
}

/// What a file held when it was opened.
pub(crate) struct Opened {
    pub(crate) pair: Pair,
    pub(crate) content: Vec<u8>,
}

impl Pair {
    /// Makes a file with room for `capacity` bytes of content and writes the first content. An existing one is replaced at once,
    /// or not at all.
    pub(crate) fn create(
        path: &Path,
        domain: &'static str,
        key: &NodeKey,
        capacity: usize,
        content: &[u8],
        sequence: u64,
    ) -> Result<Self, Error> {
        let failed = |what| move |why: io::Error| file_error(path, what, &why);
        let half_bytes = HEADER_BYTES + capacity;
        let fresh = path.with_extension("new");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)
            .map_err(failed("creating it"))?;
        file.write_all_at(&vec![0; 2 * half_bytes], 0)
            .and_then(|()| file.sync_all())
            .map_err(failed("reserving its space"))?;
        let mut pair = Self { file, path: path.to_owned(), domain, half_bytes, sequence };
        pair.write(key, content)?;
        fs::rename(&fresh, path).map_err(failed("putting it into place"))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("syncing its folder"))?;
        Ok(pair)
    }

    /// Opens a file and reads its newest valid half. `None`: there is no file.
    pub(crate) fn open(path: &Path, domain: &'static str, key: &NodeKey) -> Result<Option<Opened>, Error> {
        let failed = |what| move |why: io::Error| file_error(path, what, &why);
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(failed("opening it")(why)),
        };
        let bytes = fs::read(path).map_err(failed("reading it"))?;
        let (first, second) = bytes.split_at_checked(bytes.len() / 2).unwrap_or_default();
        let halves = [read_half(first, domain, key), read_half(second, domain, key)];
        let newest = halves.into_iter().flatten().max_by_key(|(sequence, _)| *sequence);
        let why = "neither of its halves carries a valid tag of this node";
        let (sequence, content) = newest.ok_or_else(|| Error::BadFile { path: path.display().to_string(), why })?;
        let pair = Self { file, path: path.to_owned(), domain, half_bytes: bytes.len() / 2, sequence };
        Ok(Some(Opened { pair, content: content.to_vec() }))
    }

    /// The most content that fits.
    pub(crate) fn capacity(&self) -> usize {
        self.half_bytes.saturating_sub(HEADER_BYTES)
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Writes the other half and syncs it. On an error the half that counted before still counts.
    pub(crate) fn write(&mut self, key: &NodeKey, content: &[u8]) -> Result<(), Error> {
        let failed = |what| {
            let path = self.path.clone();
            move |why: io::Error| file_error(&path, what, &why)
        };
        if content.len() > self.capacity() {
            return Err(Error::TooLarge {
                what: "reserved file content",
                max: self.capacity(),
                unit: "bytes",
                found: content.len(),
            });
        }
        let sequence = self.sequence + 1;
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
        let tag = key.tag(self.domain, &[&sequence.to_be_bytes(), content]);
        let half = [MAGIC.as_slice(), &sequence.to_be_bytes(), &length, &tag, content].concat();
        let at = if sequence.is_multiple_of(2) { 0 } else { self.half_bytes };
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        self.file.write_all_at(&half, at).map_err(failed("writing it"))?;
        self.file.sync_data().map_err(failed("syncing it"))?;
        self.sequence = sequence;
        Ok(())
    }
}

fn read_half<'a>(half: &'a [u8], domain: &str, key: &NodeKey) -> Option<(u64, &'a [u8])> {
    let rest = half.strip_prefix(MAGIC.as_slice())?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (tag, rest) = rest.split_first_chunk::<TAG_BYTES>()?;
    let content = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    key.verifies(domain, &[sequence, content], tag).then_some((u64::from_be_bytes(*sequence), content))
}

fn file_error(path: &Path, what: &'static str, why: &io::Error) -> Error {
    Error::File { path: path.display().to_string(), what, why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rig() -> (tempfile::TempDir, PathBuf, NodeKey) {
        let dir = tempfile::tempdir().unwrap();
        let key = NodeKey::load_or_create(&dir.path().join("node.key")).unwrap();
        let path = dir.path().join("pair");
        (dir, path, key)
    }

    fn content(path: &Path, key: &NodeKey) -> Vec<u8> {
        Pair::open(path, "test", key).unwrap().unwrap().content
    }

    #[test]
    fn the_newest_content_is_read_back() {
        let (_dir, path, key) = rig();
        assert!(Pair::open(&path, "test", &key).unwrap().is_none());
        let mut pair = Pair::create(&path, "test", &key, 100, b"first", 0).unwrap();
        let size = fs::metadata(&path).unwrap().len();
        for round in 0..5u8 {
            pair.write(&key, &[round; 100]).unwrap();
            assert_eq!(content(&path, &key), [round; 100]);
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), size, "a write in place takes no space");
        assert!(pair.write(&key, &[0; 101]).is_err());
    }

    #[test]
    fn another_key_or_domain_does_not_read_it() {
        let (dir, path, key) = rig();
        Pair::create(&path, "test", &key, 100, b"first", 0).unwrap();
        let other = NodeKey::load_or_create(&dir.path().join("other.key")).unwrap();
        assert!(matches!(Pair::open(&path, "test", &other), Err(Error::BadFile { .. })));
        assert!(matches!(Pair::open(&path, "other", &key), Err(Error::BadFile { .. })));
    }

    proptest! {
        /// A crash in the middle of a write leaves any mixture of old and new bytes in the half being written.
        #[test]
        fn a_torn_write_leaves_the_content_before(torn in proptest::collection::vec(any::<u8>(), 1..152), writes in 1usize..4) {
            let (_dir, path, key) = rig();
            let mut pair = Pair::create(&path, "test", &key, 100, b"first", 0).unwrap();
            for round in 0..writes {
                pair.write(&key, format!("content {round}").as_bytes()).unwrap();
            }
            let next = if (pair.sequence + 1).is_multiple_of(2) { 0 } else { pair.half_bytes };
            pair.file.write_all_at(&torn, u64::try_from(next).unwrap()).unwrap();
            prop_assert_eq!(content(&path, &key), format!("content {}", writes - 1).into_bytes());
        }
    }
}
