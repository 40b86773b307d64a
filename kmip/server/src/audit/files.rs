//! The log's files: `audit.jsonl` is written, `audit.NUMBER.jsonl` is closed; NUMBER is that of its last seal.
//!
//! A full file is closed at a seal. The next one is made whole beside it first, with its first line, then both get their names. A crash
//! in between leaves no file to write and a whole next one, which the next start takes; or a next one too early, which is made anew.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::line::Carry;

/// The log says who used which key: its owner alone reads it.
const MODE: u32 = 0o600;

/// What the writer appends to.
pub(crate) trait Disk: Send + 'static {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// After it a power cut loses nothing of what was appended; after an error any of it since the last sync may be gone.
    fn sync(&mut self) -> io::Result<()>;
    /// Takes back everything after `length` bytes.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Closes the file and goes on in another, which begins with `carry`; answers its length. After an error the file is as it was.
    fn next(&mut self, carry: &Carry) -> io::Result<u64>;
}

/// See the module.
pub(super) struct Files {
    path: PathBuf,
    pub(super) file: File,
}

impl Files {
    /// Opens the newest file, or begins the first.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let next = beside(path, "next");
        if !path.try_exists()? && next.try_exists()? {
            fs::rename(&next, path)?;
            sync_folder(path)?;
        }
        let file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Cuts off what is not a whole line, and goes to the end.
    pub(super) fn go_on(&mut self, whole: u64) -> io::Result<()> {
        self.file.set_len(whole)?;
        self.file.seek(SeekFrom::End(0)).map(|_| ())
    }
}

impl Disk for Files {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn next(&mut self, carry: &Carry) -> io::Result<u64> {
        let (next, closed) = (beside(&self.path, "next"), closed(&self.path, carry.after));
        // Only where the file being written was moved away, so that seals count from 1 again.
        if closed.try_exists()? {
            let why = format!("{} exists: move the closed files of an earlier log away", closed.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        let line = carry.line();
        let mut file = OpenOptions::new().append(true).create(true).mode(MODE).open(&next)?;
        file.set_len(0)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        sync_folder(&self.path)?;
        fs::rename(&self.path, &closed)?;
        let renamed = sync_folder(&self.path).and_then(|()| fs::rename(&next, &self.path));
        if let Err(error) = renamed {
            fs::rename(&closed, &self.path)?;
            return Err(error);
        }
        sync_folder(&self.path)?;
        self.file = file;
        Ok(line.len() as u64)
    }
}

/// The closed file whose last seal is `seal`. Names sort in the order of the chain.
pub(super) fn closed(path: &Path, seal: u64) -> PathBuf {
    beside(path, &format!("{seal:020}"))
}

fn beside(path: &Path, word: &str) -> PathBuf {
    path.with_extension(format!("{word}.jsonl"))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
