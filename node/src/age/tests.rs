//! The format against itself, against damage, and against the tool `age` where it is installed (Debian: age).

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::Command,
};

use super::*;

fn random(bytes: &mut [u8]) -> Result<(), AgeError> {
    getrandom::fill(bytes).map_err(|_| AgeError::Primitive)
}

fn identity(byte: u8) -> Identity {
    Identity::from_bytes(Zeroizing::new([byte; KEY_BYTES]))
}

fn encrypt(plain: &[u8], recipients: &[Recipient]) -> Vec<u8> {
    let mut out = Encrypting::begin(Vec::new(), recipients, &mut random).unwrap();
    out.write_all(plain).unwrap();
    out.end().unwrap()
}

fn decrypt(sealed: &[u8], identities: &[Identity]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    let mut reader = Decrypting::begin(sealed, identities).map_err(|e| e.to_string())?;
    reader.read_to_end(&mut plain).map_err(|e| e.to_string())?;
    Ok(plain)
}

#[test]
fn what_goes_in_comes_out_for_each_recipient_and_nobody_else() {
    let (a, b) = (identity(1), identity(2));
    let to = [a.recipient().unwrap(), b.recipient().unwrap()];
    for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 200_000] {
        let plain: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let sealed = encrypt(&plain, &to);
        assert_eq!(decrypt(&sealed, &[identity(1)]).unwrap(), plain, "{length}");
        assert_eq!(decrypt(&sealed, &[identity(3), identity(2)]).unwrap(), plain, "{length}");
        assert!(decrypt(&sealed, &[identity(3)]).unwrap_err().contains("for other recipients"));
    }
    assert!(matches!(Encrypting::begin(Vec::new(), &[], &mut random).err(), Some(AgeError::Recipients(0))));
}

#[test]
fn each_changed_byte_and_each_cut_is_found() {
    let to = [identity(1).recipient().unwrap()];
    let sealed = encrypt(&[7; 300], &to);
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(decrypt(&changed, &[identity(1)]).is_err(), "byte {at}");
        assert!(decrypt(&sealed[..at], &[identity(1)]).is_err(), "cut at {at}");
    }
    // Whole chunks: dropped from the end, put in another order, and bytes behind the last.
    let sealed = encrypt(&[7; 3 * CHUNK_BYTES], &to);
    let payload = sealed.len() - 3 * (CHUNK_BYTES + TAG_BYTES);
    let chunk =
        |n: usize| &sealed[payload + n * (CHUNK_BYTES + TAG_BYTES)..payload + (n + 1) * (CHUNK_BYTES + TAG_BYTES)];
    for chunks in [vec![0, 1], vec![1, 0, 2], vec![0, 2], vec![0, 1, 2, 2], vec![]] {
        let mut other = sealed[..payload].to_vec();
        chunks.iter().for_each(|n| other.extend_from_slice(chunk(*n)));
        assert!(decrypt(&other, &[identity(1)]).is_err(), "{chunks:?}");
    }
}

#[test]
fn keys_are_spelled_as_age_spells_them() {
    // BIP 173, and the recipient of age's own manual.
    for good in ["A12UEL5L", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw"] {
        assert!(bech32::decode(good).is_some(), "{good}");
    }
    for bad in ["pzry9x0s0muk", "1pzry9x0s0muk", "x1b4n0q5v", "A1G7SGD8", "de1lg7wt", "a12UEL5L", "A12UEL5M"] {
        assert!(bech32::decode(bad).is_none(), "{bad}");
    }
    let theirs = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    assert_eq!(theirs.parse::<Recipient>().unwrap().to_string(), theirs);
    assert!(theirs.replace('q', "p").parse::<Recipient>().is_err());
    let line = identity(1).to_line();
    assert!(line.starts_with("AGE-SECRET-KEY-1") && line.len() == 74, "{}", line.len());
    let read = Identity::read_all(&format!("# a comment\n\n{}\n", *line)).unwrap();
    assert_eq!(read[0].recipient().unwrap(), identity(1).recipient().unwrap());
    assert!(Identity::read_all("AGE-SECRET-KEY-1X").is_err());
}

fn age(folder: &Path, args: &[&str]) -> bool {
    let said = Command::new("age").args(args).current_dir(folder).output().unwrap();
    said.status.success()
}

#[test]
fn the_tool_age_opens_ours_and_we_open_its_files() {
    if Command::new("age").arg("--version").output().is_err() {
        println!("skipped: the tool `age` is not on this machine (Debian: age)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let to = identity(1).recipient().unwrap();
    fs::write(at("key"), identity(1).to_line().as_bytes()).unwrap();
    // Of nothing, the tool makes no file.
    for length in [1, 100, CHUNK_BYTES, CHUNK_BYTES + 1] {
        let plain = vec![b'x'; length];
        fs::write(at("ours.age"), encrypt(&plain, &[identity(9).recipient().unwrap(), to.clone()])).unwrap();
        assert!(age(folder.path(), &["-d", "-i", "key", "-o", "opened", "ours.age"]));
        assert_eq!(fs::read(at("opened")).unwrap(), plain);
        fs::write(at("plain"), &plain).unwrap();
        assert!(age(folder.path(), &["-r", &to.to_string(), "-o", "theirs.age", "plain"]));
        assert_eq!(decrypt(&fs::read(at("theirs.age")).unwrap(), &[identity(1)]).unwrap(), plain);
    }
}
