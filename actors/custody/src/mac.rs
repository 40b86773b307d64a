//! The node's own key: proves that stored rows and files were written by this node, for this place (PROTOCOL §6).
//!
//! It is no tenant's key and opens nothing: it makes HMAC-SHA-256 tags over where a row stands and what it says, so that a row
//! that was edited, or copied from another tenant, table or node, is found. It lives in a file of its own, mode 0600.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use aws_lc_rs::hmac;
use orbital::names::Digest;
use zeroize::Zeroizing;

use crate::error::Error;

/// Bytes of the key and of a tag.
pub(crate) const TAG_BYTES: usize = 32;

/// The node's key for tags.
pub struct NodeKey {
    key: hmac::Key,
}

impl NodeKey {
    /// Reads the key file, or makes one if there is none. A store that another key wrote is refused later, by its fingerprint.
    pub fn load_or_create(path: &Path) -> Result<Self, Error> {
        let failed = |what| {
            move |why: std::io::Error| Error::File { path: path.display().to_string(), what, why: why.to_string() }
        };
        let bytes = match fs::read(path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(why) if why.kind() == ErrorKind::NotFound => create(path)?,
            Err(why) => return Err(failed("reading the node key")(why)),
        };
        if bytes.len() != TAG_BYTES {
            let why = format!(
                "it has {} bytes instead of {TAG_BYTES}: restore it, or start with an empty store",
                bytes.len()
            );
            return Err(Error::File { path: path.display().to_string(), what: "reading the node key", why });
        }
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) })
    }

    /// Tells nodes' keys apart without saying anything about the key.
    pub fn fingerprint(&self) -> Digest {
        Digest(self.tag("fingerprint", &[]))
    }

    /// The tag over a domain and parts; each part's length is part of it.
    pub(crate) fn tag(&self, domain: &str, parts: &[&[u8]]) -> [u8; TAG_BYTES] {
        let mut context = hmac::Context::with_key(&self.key);
        feed(&mut context, domain, parts);
        let mut tag = [0; TAG_BYTES];
        for (to, from) in tag.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        tag
    }

    /// The tag is right; compared in constant time.
    pub(crate) fn verifies(&self, domain: &str, parts: &[&[u8]], tag: &[u8]) -> bool {
        let expected = self.tag(domain, parts);
        aws_lc_rs::constant_time::verify_slices_are_equal(&expected, tag).is_ok()
    }
}

fn feed(context: &mut hmac::Context, domain: &str, parts: &[&[u8]]) {
    context.update(b"openkcm/custody/");
    for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
}

fn create(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |why: std::io::Error| Error::File {
        path: path.display().to_string(),
        what: "creating the node key",
        why: why.to_string(),
    };
    let mut bytes = Zeroizing::new(vec![0; TAG_BYTES]);
    getrandom::fill(&mut bytes).map_err(|e| Error::Random(e.to_string()))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        let first = NodeKey::load_or_create(&path).unwrap().fingerprint();
        assert_eq!(NodeKey::load_or_create(&path).unwrap().fingerprint(), first);
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&path, b"short").unwrap();
        assert!(NodeKey::load_or_create(&path).is_err());
    }

    #[test]
    fn a_tag_binds_domain_parts_and_their_borders() {
        let dir = tempfile::tempdir().unwrap();
        let key = NodeKey::load_or_create(&dir.path().join("node.key")).unwrap();
        let tag = key.tag("row", &[b"ab", b"c"]);
        assert!(key.verifies("row", &[b"ab", b"c"], &tag));
        assert!(!key.verifies("row", &[b"a", b"bc"], &tag));
        assert!(!key.verifies("file", &[b"ab", b"c"], &tag));
        assert!(!key.verifies("row", &[b"ab", b"c"], &tag[..31]));
    }
}
