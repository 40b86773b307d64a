//! Key files: the secret keys of people, nodes and regions, one a file, for its owner's eyes alone.
//!
//! A file is text: comment lines that begin with `#`, then 32 bytes as base64url without padding. Ed25519 keys are read by
//! [`orbital::sign::SecretKey`]; X25519 keys, to which credentials are sealed (HPKE), have the same form. A file that the group or others
//! can read or write is refused: whoever could read it may have copied it, so the message says to make a new key, not only to run chmod.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::agreement::{PrivateKey, X25519};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use orbital::sign::{BadSignature, PublicKey, SecretKey};
use zeroize::{Zeroize, Zeroizing};

/// Largest key file, in bytes: a key and some lines of comment.
pub const KEY_FILE_BYTES_MAX: usize = 4 * 1024;
/// Mode of a key file: read and written by its owner alone.
pub const KEY_FILE_MODE: u32 = 0o600;
/// The mode bits that nobody but the owner may have.
const FOREIGN_BITS: u32 = 0o077;
/// Length of a key, in bytes, of either kind.
const KEY_BYTES: usize = 32;

/// Why a key file was not read or not made.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("key file {path}: {why}; check the path, and that this user may read it")]
    Unreadable { path: PathBuf, why: io::Error },
    #[error(
        "key file {path} has mode {mode:04o}: its group or others can use it; run `chmod 600 {path}`, and replace the key if anyone \
         else has an account here"
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error("key file {path} is larger than {KEY_FILE_BYTES_MAX} bytes: this is no key file")]
    TooLarge { path: PathBuf },
    #[error(
        "key file {path} does not hold an {kind} key: comment lines with `#`, then 32 bytes as base64url; make one anew"
    )]
    Unsound { path: PathBuf, kind: &'static str },
    #[error("the secret in {path} is empty: write it into one line of that file")]
    Empty { path: PathBuf },
    #[error("key file {path} could not be made: {why}")]
    Unwritable { path: PathBuf, why: io::Error },
    #[error(
        "key file {path} exists already and is left as it is: a key that is overwritten is gone; choose another name"
    )]
    Exists { path: PathBuf },
    #[error("the system's random generator failed: {0}; no key was made")]
    NoRandomness(getrandom::Error),
}

/// An X25519 secret key. Wiped on drop; it has neither Debug nor Clone.
pub struct HpkeKey(Zeroizing<[u8; KEY_BYTES]>);

impl HpkeKey {
    /// Takes 32 bytes from the system's generator, or from a test's.
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// Reads what [`HpkeKey::to_text`] writes.
    fn from_text(text: &str) -> Option<Self> {
        let line = text.lines().find(|l| !l.starts_with('#') && !l.trim().is_empty())?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(line.trim()).ok()?);
        let mut key = Self(Zeroizing::new([0; KEY_BYTES]));
        (bytes.len() == KEY_BYTES).then(|| key.0.copy_from_slice(&bytes))?;
        Some(key)
    }

    /// A key file: a comment line for people, then the key as base64url.
    fn to_text(&self, comment: &str) -> Zeroizing<String> {
        let key = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_slice()));
        Zeroizing::new(format!("# openkcm x25519 secret key, {comment}\n{}\n", key.as_str()))
    }

    /// The bytes, for the one who opens what was sealed to [`HpkeKey::public`].
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// What others seal to. None says that the library refused the key, which no 32 bytes make it do.
    pub fn public(&self) -> Option<PublicKey> {
        let private = PrivateKey::from_private_key(&X25519, self.0.as_slice()).ok()?;
        let public = private.compute_public_key().ok()?;
        public.as_ref().try_into().ok().map(PublicKey)
    }
}

/// Reads an Ed25519 secret key.
///
/// # Errors
/// [`KeyFileError`] where the file is absent, too large, open to others than its owner, or holds no key.
pub fn read_ed25519(path: &Path) -> Result<SecretKey, KeyFileError> {
    let unsound = |_: BadSignature| KeyFileError::Unsound { path: path.into(), kind: "Ed25519" };
    SecretKey::from_text(&read(path)?).map_err(unsound)
}

/// Reads an X25519 secret key.
///
/// # Errors
/// As [`read_ed25519`].
pub fn read_x25519(path: &Path) -> Result<HpkeKey, KeyFileError> {
    HpkeKey::from_text(&read(path)?).ok_or_else(|| KeyFileError::Unsound { path: path.into(), kind: "X25519" })
}

/// Reads a secret of one line, such as a password, a URL or a webhook's key: the first line that is no comment.
///
/// # Errors
/// As [`read_ed25519`].
pub fn read_line(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let text = read(path)?;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    line.map(|line| Zeroizing::new(line.to_owned())).ok_or_else(|| KeyFileError::Empty { path: path.into() })
}

/// Draws an Ed25519 key and writes it with mode 0600. `comment` stands in the first line.
///
/// # Errors
/// [`KeyFileError`] where the file exists, or can't be written.
pub fn create_ed25519(path: &Path, comment: &str) -> Result<SecretKey, KeyFileError> {
    let key = SecretKey::from_seed(&*draw()?);
    write(path, &key.to_text(&one_line(comment)))?;
    Ok(key)
}

/// Draws an X25519 key and writes it with mode 0600. `comment` stands in the first line.
///
/// # Errors
/// As [`create_ed25519`].
pub fn create_x25519(path: &Path, comment: &str) -> Result<HpkeKey, KeyFileError> {
    let key = HpkeKey(draw()?);
    write(path, &key.to_text(&one_line(comment)))?;
    Ok(key)
}

fn draw() -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyFileError> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(bytes.as_mut_slice()).map_err(KeyFileError::NoRandomness)?;
    Ok(bytes)
}

/// A comment can't put a line of its own before the key's.
fn one_line(comment: &str) -> String {
    comment.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The mode is that of the opened file, so that a name that is moved in between changes nothing.
fn read(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let unreadable = |why| KeyFileError::Unreadable { path: path.into(), why };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o7777;
    if mode & FOREIGN_BITS != 0 {
        return Err(KeyFileError::Exposed { path: path.into(), mode });
    }
    // Reserved at once: a buffer that grows leaves copies of the key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX + 64));
    let most = u64::try_from(KEY_FILE_BYTES_MAX).unwrap_or(u64::MAX);
    file.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > KEY_FILE_BYTES_MAX {
        return Err(KeyFileError::TooLarge { path: path.into() });
    }
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|e| {
        e.into_bytes().zeroize();
        KeyFileError::Unsound { path: path.into(), kind: "Ed25519 or X25519" }
    })
}

/// Writes a new file whole and durable, or leaves none behind.
fn write(path: &Path, text: &str) -> Result<(), KeyFileError> {
    let failed = |why: io::Error| match why.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.into() },
        _ => KeyFileError::Unwritable { path: path.into(), why },
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(KEY_FILE_MODE).open(path).map_err(failed)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| sync_folder(path));
    written.map_err(|why| {
        let _half_a_key_is_of_no_use = std::fs::remove_file(path);
        failed(why)
    })
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use orbital::sign::Kind;

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refusal<T>(result: Result<T, KeyFileError>) -> String {
        result.err().expect("it was read").to_string()
    }

    #[test]
    fn a_key_that_is_made_reads_back_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("carol.key"), folder.path().join("fra.hpke"));
        let made = create_ed25519(&one, "carol").unwrap();
        assert_eq!(read_ed25519(&one).unwrap().public(), made.public());
        let sealed_to = create_x25519(&other, "eu-frankfurt").unwrap();
        assert_eq!(read_x25519(&other).unwrap().expose(), sealed_to.expose());
        for path in [&one, &other] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, KEY_FILE_MODE);
            assert!(fs::read_to_string(path).unwrap().starts_with("# openkcm "));
        }
        let again = create_ed25519(&folder.path().join("dave.key"), "dave").unwrap();
        assert_ne!(again.public(), made.public(), "two keys are two");
        assert!(again.public().verify(Kind::Approve, b"x", &again.sign(Kind::Approve, b"x")).is_ok());
    }

    #[test]
    fn each_bit_for_the_group_or_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("carol.key");
        create_ed25519(&path, "carol").unwrap();
        for bit in [0o001, 0o002, 0o004, 0o010, 0o020, 0o040] {
            set_mode(&path, 0o600 | bit);
            let why = refusal(read_ed25519(&path));
            assert!(why.contains("chmod 600") && why.contains(&format!("{:04o}", 0o600 | bit)), "{why}");
            assert!(matches!(read_x25519(&path), Err(KeyFileError::Exposed { .. })));
        }
        for mode in [0o600, 0o400] {
            set_mode(&path, mode);
            assert!(read_ed25519(&path).is_ok(), "{mode:o}");
        }
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("carol.key");
        let first = create_ed25519(&path, "carol").unwrap();
        assert!(refusal(create_ed25519(&path, "carol")).contains("exists already"));
        assert!(refusal(create_x25519(&path, "carol")).contains("exists already"));
        assert_eq!(read_ed25519(&path).unwrap().public(), first.public());
        let nowhere = folder.path().join("absent").join("carol.key");
        assert!(matches!(create_ed25519(&nowhere, "carol"), Err(KeyFileError::Unwritable { .. })));
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.key");
        let put = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            set_mode(&path, 0o600);
        };
        assert!(matches!(read_ed25519(&path), Err(KeyFileError::Unreadable { .. })));
        for bad in [&b""[..], b"# only a comment\n", b"AAAA\n", b"not base64 at all!\n", &[0xff; 40]] {
            put(bad);
            assert!(refusal(read_ed25519(&path)).contains("x.key"));
            assert!(refusal(read_x25519(&path)).contains("x.key"));
        }
        put(&[b'#'; KEY_FILE_BYTES_MAX + 1]);
        assert!(matches!(read_ed25519(&path), Err(KeyFileError::TooLarge { .. })));
    }

    #[test]
    fn a_comment_cannot_bring_a_key_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.key");
        let made = create_x25519(&path, "carol\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        assert_eq!(read_x25519(&path).unwrap().expose(), made.expose());
    }

    #[test]
    fn the_public_half_is_that_of_rfc_7748() {
        // RFC 7748 §5.2: the scalar and the u-coordinate are both 9, after one iteration.
        let mut nine = [0; 32];
        nine[0] = 9;
        let public = HpkeKey::from_bytes(&nine).public().unwrap();
        let hex: String = public.0.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
}
