//! A file with one principal's credential: `name = value` a line, for its owner's eyes alone.
//!
//! It is read anew whenever somebody signs in, so that a credential that is replaced counts without a restart.

use std::{fs::File, io::Read, os::unix::fs::MetadataExt, path::Path};

use zeroize::Zeroizing;

/// Longest credential file, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// The mode bits that nobody but the owner may have.
const FOREIGN_BITS: u32 = 0o077;

/// What stands in the file, by name, in the order of `names`; absent ones are `None`.
#[cfg(any(feature = "azure-key-vault", feature = "vault-transit"))]
pub(super) type Values<const N: usize> = [Option<Zeroizing<String>>; N];

/// The error is a sentence that names the file and what to do, and never a value.
#[cfg(any(feature = "azure-key-vault", feature = "vault-transit"))]
pub(super) fn read<const N: usize>(path: &Path, names: [&'static str; N]) -> Result<Values<N>, String> {
    text(path).and_then(|text| parse(&text, names)).map_err(|why| format!("credential file `{}` {why}", path.display()))
}

/// All of it, such as a key in PEM.
#[cfg(any(feature = "azure-key-vault", feature = "google-kms", feature = "kmip"))]
pub(super) fn whole(path: &Path) -> Result<Zeroizing<String>, String> {
    text(path).map_err(|why| format!("credential file `{}` {why}", path.display()))
}

/// The first line that is no comment, such as a PIN.
#[cfg(feature = "pkcs11")]
pub(super) fn line(path: &Path) -> Result<Zeroizing<String>, String> {
    let found = text(path).and_then(|text| {
        let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        line.map(|line| Zeroizing::new(line.to_owned()))
            .ok_or_else(|| "is empty: write the secret into one line".to_owned())
    });
    found.map_err(|why| format!("credential file `{}` {why}", path.display()))
}

/// The mode is that of the opened file, so that a name that is moved in between changes nothing.
fn text(path: &Path) -> Result<Zeroizing<String>, String> {
    let unreadable = |e: std::io::Error| format!("can't be read: {e}. Check the path and its owner");
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.mode() & 0o7777;
    if mode & FOREIGN_BITS != 0 {
        return Err(format!(
            "has mode {mode:04o}: others than its owner can use it. Run chmod 600 on it, and replace the credential"
        ));
    }
    // Reserved at once: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(FILE_BYTES_MAX).unwrap_or(0) + 64));
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(format!("has more than {FILE_BYTES_MAX} bytes: this is no credential"));
    }
    Ok(text)
}

#[cfg(any(feature = "azure-key-vault", feature = "vault-transit"))]
fn parse<const N: usize>(text: &str, names: [&'static str; N]) -> Result<Values<N>, String> {
    let mut values = [const { None }; N];
    for (at, line) in (1_usize..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or_else(|| format!("is not `name = value` in line {at}"))?;
        let known = names.iter().zip(&mut values).find(|(known, _)| **known == name.trim());
        let Some((name, slot)) = known else {
            return Err(format!("names in line {at} something else than {}", names.join(", ")));
        };
        if value.trim().is_empty() {
            return Err(format!("gives `{name}` no value in line {at}"));
        }
        if slot.replace(Zeroizing::new(value.trim().to_owned())).is_some() {
            return Err(format!("repeats `{name}` in line {at}"));
        }
    }
    Ok(values)
}

#[cfg(all(test, feature = "pkcs11", feature = "vault-transit"))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn values_come_by_name_and_each_mistake_is_named_without_a_secret() {
        let [one, two] = parse("# x\n\nb = hunter=2\n", ["a", "b"]).unwrap();
        assert!(one.is_none());
        assert_eq!(two.unwrap().as_str(), "hunter=2");
        for (text, expected) in [
            ("hunter2", "line 1"),
            ("\nhunter2 = x", "in line 2 something else than a, b"),
            ("a = ", "no value"),
            ("a = hunter2\na = hunter2", "repeats `a` in line 2"),
        ] {
            let why = parse(text, ["a", "b"]).unwrap_err();
            assert!(why.contains(expected) && !why.contains("hunter2"), "{text:?}: {why}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_and_one_that_is_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        assert!(read(&path, ["a"]).unwrap_err().contains("Check the path"));
        std::fs::write(&path, "a = 1\n").unwrap();
        let set = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            set(mode);
            assert!(read(&path, ["a"]).unwrap_err().contains("chmod 600"), "{mode:o}");
        }
        set(0o600);
        assert_eq!(read(&path, ["a"]).unwrap()[0].as_ref().unwrap().as_str(), "1");
        assert_eq!(line(&path).unwrap().as_str(), "a = 1");
        std::fs::write(&path, "# a PIN\n\n").unwrap();
        assert!(line(&path).unwrap_err().contains("is empty"));
        std::fs::write(&path, "#".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1)).unwrap();
        assert!(read(&path, ["a"]).unwrap_err().contains("more than"));
    }
}
