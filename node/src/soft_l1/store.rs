//! Keys, states and policies of the soft L1: what it answers, and the file they lie in.
//!
//! [`Store::answer`] is the only decision: token to principal is settled before (PROTOCOL §4 needs the identity first), then key,
//! policy, state, cipher, in this order. A change is in the file before it is answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use custody::l1::soft_wire::{Ask, Bytes, Code, Reply, SoftState};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::SoftL1Error;

const KEY_FILE: &str = "soft-l1-keys.json";
const LOCK_FILE: &str = "soft-l1.lock";
const FORMAT: u32 = 1;
/// First byte of each wrapped blob: version 1 is AES-256-GCM, 12 bytes of nonce, ciphertext, 16 bytes of tag.
const BLOB_V1: u8 = 1;
const NONCE_BYTES: usize = 12;
/// What every AAD begins with, so that a blob of this protocol is no other's.
const AAD_DOMAIN: &[u8] = b"kcm-soft-l1/v1\0";

/// A key that is there when the server starts: made if its name is new, left as it is otherwise.
pub struct KeySpec {
    /// `soft:NAME`.
    pub name: String,
    /// Principals that a new key's policy allows.
    pub allow: Vec<String>,
}

/// Who asks, as the token told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    Admin,
    Principal(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    /// 32 bytes; empty when deleted.
    bytes: Bytes,
    state: SoftState,
    allowed: BTreeSet<String>,
    denied: BTreeSet<String>,
}

impl Key {
    fn copy(&self) -> Self {
        let (allowed, denied) = (self.allowed.clone(), self.denied.clone());
        Self { bytes: Bytes::copy(&self.bytes.0), state: self.state, allowed, denied }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    format: u32,
    keys: BTreeMap<String, Key>,
}

/// The keys of one soft L1, in one folder, held by one process.
pub struct Store {
    folder: PathBuf,
    keys: Keys,
    _lock: File,
}

type Refusal = (Code, String);

impl Store {
    /// Opens or founds the folder, takes its lock and makes the keys that are not there yet.
    pub fn open(folder: &Path, specs: &[KeySpec]) -> Result<Self, SoftL1Error> {
        let failed = |what| move |why| SoftL1Error::Folder { what, path: folder.to_owned(), why };
        std::fs::create_dir_all(folder).map_err(failed("make its folder"))?;
        let lock = private(&folder.join(LOCK_FILE), false).map_err(failed("open the lock in"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SoftL1Error::InUse { path: folder.to_owned() }),
            Err(TryLockError::Error(why)) => return Err(failed("lock")(why)),
        }
        let keys = load(&folder.join(KEY_FILE))?;
        let mut store = Self { folder: folder.to_owned(), keys, _lock: lock };
        for spec in specs {
            store.found(spec)?;
        }
        store.save().map_err(failed("write its keys to"))?;
        Ok(store)
    }

    fn found(&mut self, spec: &KeySpec) -> Result<(), SoftL1Error> {
        if !spec.name.starts_with("soft:") || orbital::names::KeyRef::new(&spec.name).is_err() {
            return Err(SoftL1Error::KeyName { name: spec.name.clone() });
        }
        if self.keys.keys.contains_key(&spec.name) {
            return Ok(());
        }
        let mut bytes = Zeroizing::new(vec![0; 32]);
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| SoftL1Error::Random)?;
        let allowed = spec.allow.iter().cloned().collect();
        let key = Key { bytes: Bytes(bytes), state: SoftState::Enabled, allowed, denied: BTreeSet::new() };
        self.keys.keys.insert(spec.name.clone(), key);
        Ok(())
    }

    /// Answers one question of somebody whose token is known; a change is durable when this returns.
    pub fn answer(&mut self, who: &Who, ask: Ask) -> Reply {
        let answered = match ask {
            Ask::Describe { key } => self.describe(who, key),
            Ask::Wrap { key, context, plain } => self.wrap(who, &key, &context, plain),
            Ask::Unwrap { key, context, wrapped } => self.unwrap(who, &key, &context, &wrapped),
            change => self.change(who, change),
        };
        answered.unwrap_or_else(|(code, why)| Reply::Refused { code, why })
    }

    fn describe(&self, who: &Who, name: String) -> Result<Reply, Refusal> {
        let state = self.permitted(who, &name)?.state;
        Ok(Reply::Described { state, resolved: name })
    }

    fn wrap(&self, who: &Who, name: &str, context: &[(String, String)], plain: Bytes) -> Result<Reply, Refusal> {
        let cipher = cipher(self.usable(who, name)?)?;
        let mut sealed = plain.0;
        let nonce = cipher
            .seal_in_place_append_tag(Aad::from(aad(name, context)), &mut *sealed)
            .map_err(|_| (Code::Broken, "sealing failed".to_owned()))?;
        let mut wrapped = vec![BLOB_V1];
        wrapped.extend_from_slice(nonce.as_ref());
        wrapped.extend_from_slice(&sealed);
        Ok(Reply::Wrapped { wrapped: Bytes(Zeroizing::new(wrapped)) })
    }

    fn unwrap(&self, who: &Who, name: &str, context: &[(String, String)], wrapped: &Bytes) -> Result<Reply, Refusal> {
        let cipher = cipher(self.usable(who, name)?)?;
        let mismatch = || (Code::Mismatch, "key, context or blob do not belong together".to_owned());
        let Some((&BLOB_V1, rest)) = wrapped.0.split_first() else { return Err(mismatch()) };
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES).ok_or_else(mismatch)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| mismatch())?;
        let mut open = Zeroizing::new(sealed.to_vec());
        let aad = Aad::from(aad(name, context));
        let plain = cipher.open_in_place(nonce, aad, &mut open).map_err(|_| mismatch())?;
        Ok(Reply::Plain { plain: Bytes::copy(plain) })
    }

    /// The key, for someone whom its policy lets see it.
    fn permitted(&self, who: &Who, name: &str) -> Result<&Key, Refusal> {
        let key = self.keys.keys.get(name).filter(|key| key.state != SoftState::Deleted);
        let key = key.ok_or_else(|| (Code::NoSuchKey, format!("there is no key `{name}`")))?;
        match who {
            Who::Admin => Ok(key),
            Who::Principal(p) if key.allowed.contains(p) && !key.denied.contains(p) => Ok(key),
            Who::Principal(p) => Err((Code::Denied, format!("the policy of `{name}` does not allow {p}"))),
        }
    }

    /// The key, for a cipher operation. The admin has none: whoever may stop a key may not use it.
    fn usable(&self, who: &Who, name: &str) -> Result<&Key, Refusal> {
        let key = self.permitted(who, name)?;
        if *who == Who::Admin {
            return Err((Code::Denied, "the admin's token opens no key".to_owned()));
        }
        match key.state {
            SoftState::Enabled => Ok(key),
            SoftState::Disabled => Err((Code::Disabled, format!("`{name}` is disabled"))),
            SoftState::PendingDeletion => Err((Code::PendingDeletion, format!("`{name}` is pending deletion"))),
            SoftState::Deleted => Err((Code::NoSuchKey, format!("there is no key `{name}`"))),
        }
    }

    fn change(&mut self, who: &Who, change: Ask) -> Result<Reply, Refusal> {
        let name = key_of(&change).to_owned();
        if *who != Who::Admin {
            return Err((Code::Denied, "only the admin's token changes keys".to_owned()));
        }
        self.permitted(who, &name)?;
        let key = self.keys.keys.get_mut(&name).ok_or_else(|| (Code::NoSuchKey, name.clone()))?;
        let before = key.copy();
        let state = apply(key, change)?;
        if let Err(error) = self.save() {
            self.keys.keys.insert(name, before);
            return Err((Code::Broken, format!("the change is not durable and was not made: {error}")));
        }
        tracing::info!(key = %name, state = ?state, "the soft L1's admin changed a key");
        Ok(Reply::Done { state })
    }

    fn save(&self) -> io::Result<()> {
        let (path, fresh) = (self.folder.join(KEY_FILE), self.folder.join("soft-l1-keys.new"));
        let text = Zeroizing::new(serde_json::to_vec(&self.keys)?);
        let mut file = private(&fresh, true)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)?;
        File::open(&self.folder)?.sync_all()
    }
}

/// The one table of changes: KMS semantics, where cancelling a deletion leaves the key disabled.
fn apply(key: &mut Key, change: Ask) -> Result<SoftState, Refusal> {
    let state = match (change, key.state) {
        (Ask::Disable { .. }, SoftState::Enabled | SoftState::Disabled)
        | (Ask::CancelDeletion { .. }, SoftState::PendingDeletion) => SoftState::Disabled,
        (Ask::Enable { .. }, SoftState::Enabled | SoftState::Disabled) => SoftState::Enabled,
        (Ask::ScheduleDeletion { .. }, _) => SoftState::PendingDeletion,
        (Ask::Delete { .. }, SoftState::PendingDeletion) => {
            key.bytes = Bytes::copy(&[]);
            SoftState::Deleted
        }
        (Ask::Deny { principal, .. }, state) => {
            key.denied.insert(principal);
            state
        }
        (Ask::Allow { principal, .. }, state) => {
            key.denied.remove(&principal);
            key.allowed.insert(principal);
            state
        }
        (_, state) => return Err((Code::Malformed, format!("a key that is {state:?} does not take this change"))),
    };
    key.state = state;
    Ok(state)
}

fn key_of(ask: &Ask) -> &str {
    match ask {
        Ask::Describe { key }
        | Ask::Wrap { key, .. }
        | Ask::Unwrap { key, .. }
        | Ask::Disable { key }
        | Ask::Enable { key }
        | Ask::ScheduleDeletion { key }
        | Ask::CancelDeletion { key }
        | Ask::Delete { key }
        | Ask::Deny { key, .. }
        | Ask::Allow { key, .. } => key,
    }
}

fn cipher(key: &Key) -> Result<RandomizedNonceKey, Refusal> {
    RandomizedNonceKey::new(&AES_256_GCM, &key.bytes.0)
        .map_err(|_| (Code::Broken, "the stored key is not 32 bytes".to_owned()))
}

/// Domain, then key name and each context member, each with its length before it: no two contexts give the same bytes.
fn aad(name: &str, context: &[(String, String)]) -> Vec<u8> {
    let mut aad = AAD_DOMAIN.to_vec();
    for text in std::iter::once(name).chain(context.iter().flat_map(|(n, v)| [n.as_str(), v.as_str()])) {
        aad.extend_from_slice(&(text.len() as u64).to_be_bytes());
        aad.extend_from_slice(text.as_bytes());
    }
    aad
}

fn load(path: &Path) -> Result<Keys, SoftL1Error> {
    let text = match std::fs::read(path) {
        Ok(text) => Zeroizing::new(text),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Keys { format: FORMAT, keys: BTreeMap::new() }),
        Err(why) => return Err(SoftL1Error::Folder { what: "read its keys from", path: path.to_owned(), why }),
    };
    let bad = |why: String| SoftL1Error::KeyFile { path: path.to_owned(), why };
    let keys: Keys =
        serde_json::from_slice(&text).map_err(|e| bad(format!("line {}, column {}", e.line(), e.column())))?;
    if keys.format != FORMAT {
        return Err(bad(format!("its format is {}, this version reads {FORMAT}", keys.format)));
    }
    Ok(keys)
}

fn private(path: &Path, truncate: bool) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(truncate).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> Store {
        let spec = KeySpec { name: "soft:acme".to_owned(), allow: vec!["fra".to_owned()] };
        Store::open(folder, &[spec]).unwrap()
    }

    fn fra() -> Who {
        Who::Principal("fra".to_owned())
    }

    fn key() -> String {
        "soft:acme".to_owned()
    }

    fn code(reply: &Reply) -> Option<Code> {
        if let Reply::Refused { code, .. } = reply { Some(*code) } else { None }
    }

    fn wrap(store: &mut Store) -> Bytes {
        let ask = Ask::Wrap { key: key(), context: vec![], plain: Bytes::copy(b"tenant key") };
        let Reply::Wrapped { wrapped } = store.answer(&fra(), ask) else { panic!("not wrapped") };
        wrapped
    }

    fn opens(store: &mut Store, wrapped: &Bytes) -> Reply {
        store.answer(&fra(), Ask::Unwrap { key: key(), context: vec![], wrapped: Bytes::copy(&wrapped.0) })
    }

    #[test]
    fn a_stop_and_the_keys_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let wrapped = {
            let mut store = open(folder.path());
            let wrapped = wrap(&mut store);
            assert!(matches!(opens(&mut store, &wrapped), Reply::Plain { plain } if *plain.0 == b"tenant key"));
            store.answer(&Who::Admin, Ask::Disable { key: key() });
            wrapped
        };
        let mut store = open(folder.path());
        assert_eq!(code(&opens(&mut store, &wrapped)), Some(Code::Disabled));
        store.answer(&Who::Admin, Ask::Enable { key: key() });
        assert!(matches!(opens(&mut store, &wrapped), Reply::Plain { .. }));
    }

    #[test]
    fn a_deleted_key_never_comes_back_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path());
        let wrapped = wrap(&mut store);
        let early = store.answer(&Who::Admin, Ask::Delete { key: key() });
        assert_eq!(code(&early), Some(Code::Malformed), "only a key pending deletion is deleted");
        store.answer(&Who::Admin, Ask::ScheduleDeletion { key: key() });
        assert_eq!(code(&opens(&mut store, &wrapped)), Some(Code::PendingDeletion));
        assert!(matches!(
            store.answer(&Who::Admin, Ask::Delete { key: key() }),
            Reply::Done { state: SoftState::Deleted }
        ));
        drop(store);
        let mut store = open(folder.path());
        assert_eq!(code(&opens(&mut store, &wrapped)), Some(Code::NoSuchKey));
        let text = std::fs::read_to_string(folder.path().join(KEY_FILE)).unwrap();
        assert!(text.contains(r#""bytes":"""#), "the bytes are gone from the file: {text}");
    }

    #[test]
    fn a_principal_changes_nothing_and_the_admin_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path());
        assert_eq!(code(&store.answer(&fra(), Ask::Disable { key: key() })), Some(Code::Denied));
        let wrapped = wrap(&mut store);
        let ask = Ask::Unwrap { key: key(), context: vec![], wrapped };
        assert_eq!(code(&store.answer(&Who::Admin, ask)), Some(Code::Denied));
    }

    #[test]
    fn denying_wins_over_allowing_until_it_is_lifted() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path());
        let principal = || "fra".to_owned();
        store.answer(&Who::Admin, Ask::Deny { key: key(), principal: principal() });
        assert_eq!(code(&store.answer(&fra(), Ask::Describe { key: key() })), Some(Code::Denied));
        store.answer(&Who::Admin, Ask::Allow { key: key(), principal: principal() });
        assert_eq!(code(&store.answer(&fra(), Ask::Describe { key: key() })), None);
    }

    #[test]
    fn a_folder_has_one_process_and_a_key_file_of_this_format() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        assert!(matches!(Store::open(folder.path(), &[]), Err(SoftL1Error::InUse { .. })));
        drop(store);
        std::fs::write(folder.path().join(KEY_FILE), r#"{"format":2,"keys":{}}"#).unwrap();
        assert!(matches!(Store::open(folder.path(), &[]), Err(SoftL1Error::KeyFile { .. })));
        let nameless = KeySpec { name: "acme".to_owned(), allow: vec![] };
        let fresh = tempfile::tempdir().unwrap();
        assert!(matches!(Store::open(fresh.path(), &[nameless]), Err(SoftL1Error::KeyName { .. })));
    }

    #[test]
    fn a_change_that_is_not_durable_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path());
        store.answer(&Who::Admin, Ask::Disable { key: key() });
        std::fs::create_dir(folder.path().join("soft-l1-keys.new")).unwrap();
        assert_eq!(code(&store.answer(&Who::Admin, Ask::Enable { key: key() })), Some(Code::Broken));
        let described = store.answer(&fra(), Ask::Describe { key: key() });
        assert!(matches!(described, Reply::Described { state: SoftState::Disabled, .. }));
    }

    #[test]
    fn the_key_file_is_the_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()));
        let mode = std::fs::metadata(folder.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }

    #[test]
    fn no_two_contexts_share_their_authenticated_bytes() {
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        assert_ne!(aad("k", &[pair("ab", "c")]), aad("k", &[pair("a", "bc")]));
        assert_ne!(aad("ka", &[]), aad("k", &[pair("a", "")]));
    }
}
