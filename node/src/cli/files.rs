//! Reading and writing the user's files, with errors that name them.

use std::{
    fs::{self, OpenOptions},
    io::{self, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use super::exit::Failure;

/// Largest file that a command reads at once, in bytes: a trust chain as large as the portal answers one, and the white space in the file.
pub(crate) const FILE_BYTES_MAX: u64 = 128 * 1024 * 1024;

pub(crate) fn read(what: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |why: String| {
        Failure::usage(format!("the {what} does not read"))
            .at(path.display())
            .because(why)
            .fix("check the path and that this user may read it")
    };
    let file = fs::File::open(path).map_err(|e| failed(e.to_string()))?;
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| failed(e.to_string()))?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(failed(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

pub(crate) fn read_text(what: &str, path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(what, path)?).map_err(|e| {
        Failure::usage(format!("the {what} does not read")).at(path.display()).because(e).fix("it must be UTF-8 text")
    })
}

pub(crate) fn read_json<T: DeserializeOwned>(what: &str, path: &Path) -> Result<T, Failure> {
    serde_json::from_slice(&read(what, path)?).map_err(|e| {
        Failure::usage(format!("the {what} does not read"))
            .at(format!("{}:{}:{}", path.display(), e.line(), e.column()))
            .because(e)
            .fix("give the file as `kcm` wrote it")
    })
}

/// Writes a file whole or not at all. A file that exists is replaced only where `replace` says so.
pub(crate) fn write(what: &str, path: &Path, bytes: &[u8], mode: u32, replace: bool) -> Result<(), Failure> {
    let mut file = NewFile::begin(what, path, mode, replace)?;
    let written = file.write_all(bytes);
    file.place(written)
}

/// A file that is written piece by piece, and stands under its name only when it is whole.
pub(crate) struct NewFile {
    what: String,
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<fs::File>,
    replace: bool,
}

impl NewFile {
    pub(crate) fn begin(what: &str, path: &Path, mode: u32, replace: bool) -> Result<Self, Failure> {
        if !replace && path.exists() {
            return Err(unwritten(what, path, &"a file of this name exists already")
                .fix("choose another name, or move the old file away"));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(part);
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&part);
        let file = BufWriter::new(file.map_err(|e| unwritten(what, path, &e))?);
        Ok(Self { what: what.to_owned(), path: path.to_owned(), part, file, replace })
    }

    /// Gives it its name if everything was `written`.
    pub(crate) fn place(mut self, written: io::Result<()>) -> Result<(), Failure> {
        let written = written.and_then(|()| self.file.flush()).and_then(|()| self.file.get_ref().sync_all());
        // `hard_link` refuses an existing name, so that two processes can't both believe that the file is theirs.
        let place = if self.replace { fs::rename::<&Path, &Path> } else { fs::hard_link };
        let placed = written.and_then(|()| place(&self.part, &self.path));
        placed.map_err(|e| unwritten(&self.what, &self.path, &e))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        let _gone_or_renamed = fs::remove_file(&self.part);
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn unwritten(what: &str, path: &Path, why: &dyn std::fmt::Display) -> Failure {
    let failure = Failure::usage(format!("the {what} could not be written")).at(path.display()).because(why);
    failure.fix("check that the folder exists, is writable and has space")
}

pub(crate) fn write_json(what: &str, path: &Path, value: &impl Serialize, replace: bool) -> Result<(), Failure> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|e| Failure::usage(format!("the {what} could not be written")).because(e))?;
    bytes.push(b'\n');
    write(what, path, &bytes, 0o644, replace)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_has_its_mode_from_the_start_and_is_never_replaced_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("carol.key");
        write("key file", &path, b"one", 0o600, false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let refused = write("key file", &path, b"two", 0o600, false).unwrap_err();
        assert!(refused.to_string().contains("exists already"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write("key file", &path, b"two", 0o600, true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_absent_or_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        assert!(read("chain", &path).unwrap_err().place.ends_with("x.json"));
        fs::write(&path, b"{\n!").unwrap();
        assert!(read_json::<serde_json::Value>("chain", &path).unwrap_err().place.ends_with("x.json:2:1"));
    }
}
