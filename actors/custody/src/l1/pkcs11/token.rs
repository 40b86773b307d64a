//! A token, as the process that has loaded its module uses it: sign in, find the key, AES-GCM with the context as associated data.
//!
//! The IV buffer is written by us and read back after the call: a token that makes its own IV (PKCS #11 3.0 §6.13.3; HSMs under FIPS 140)
//! leaves it there, any other has used ours. Blobs carry it.

use std::path::Path;

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::Error,
    mechanism::{Mechanism, aead::GcmParams},
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use zeroize::Zeroizing;

use super::{
    classify::{classify, may_be_the_blob},
    wire::{Ask, Kind, Opening, Reply},
};
use crate::l1::soft_wire::Bytes;

/// Begins each blob: its form.
const BLOB_FORM: u8 = 1;
/// The length for which GCM was made (SP 800-38D §8.2).
const IV_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const TAG_BITS: u64 = 128;
/// What is tried where a failure to decrypt does not say whose it is.
const TRIAL_BYTES: usize = 32;

/// Why a question has no answer.
pub(super) struct Refusal {
    pub(super) kind: Kind,
    pub(super) why: String,
}

fn refused(kind: Kind, why: impl Into<String>) -> Refusal {
    Refusal { kind, why: why.into() }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        refused(classify(&error), said(&error))
    }
}

/// The function and the value by name; the library's own sentences are chapters of the specification.
fn said(error: &Error) -> String {
    match error {
        Error::Pkcs11(value, function) => format!("{function:?} returned {value:?}"),
        other => other.to_string(),
    }
}

/// A token that we are signed in to.
pub(super) struct Token {
    session: Session,
}

impl Token {
    pub(super) fn open(opening: &Opening) -> Result<Self, Refusal> {
        let module = &opening.module;
        let unloaded = |e: Error| {
            let why = format!("module `{module}` can't be loaded: {e}. Install it, or correct `module`");
            refused(Kind::Absent, why)
        };
        let pkcs11 = Pkcs11::new(Path::new(module)).map_err(unloaded)?;
        pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
        let session = pkcs11.open_ro_session(slot(&pkcs11, opening)?)?;
        let pin = AuthPin::from(opening.pin.expose().to_owned());
        session.login(UserType::User, Some(&pin))?;
        Ok(Self { session })
    }

    pub(super) fn answer(&self, ask: Ask) -> Result<Reply, Refusal> {
        match ask {
            Ask::Describe { key } => self.usable(self.find(&key)?).map(|enabled| Reply::Described { enabled }),
            Ask::Wrap { key, aad, plain } => {
                let key = self.enabled(&key)?;
                Ok(Reply::Wrapped { wrapped: Bytes(Zeroizing::new(self.encrypt(key, &aad.0, &plain.0)?)) })
            }
            Ask::Unwrap { key, aad, wrapped } => {
                let key = self.enabled(&key)?;
                Ok(Reply::Plain { plain: Bytes(self.decrypt(key, &aad.0, &wrapped.0)?) })
            }
        }
    }

    fn enabled(&self, name: &str) -> Result<ObjectHandle, Refusal> {
        let key = self.find(name)?;
        let why = "CKA_ENCRYPT or CKA_DECRYPT is false";
        if self.usable(key)? { Ok(key) } else { Err(refused(Kind::Disabled, why)) }
    }

    /// The one secret key of this label or id.
    fn find(&self, name: &str) -> Result<ObjectHandle, Refusal> {
        let wanted = wanted(name).ok_or_else(|| {
            refused(
                Kind::Unfit,
                "the reference must be `label:LABEL` or `id:HEX`, as the token's own tool shows the key",
            )
        })?;
        let template = [Attribute::Token(true), Attribute::Class(ObjectClass::SECRET_KEY), wanted];
        match self.session.find_objects(&template)?.as_slice() {
            [key] => Ok(*key),
            [] => Err(refused(Kind::Deleted, "the token has no secret key of this name")),
            several => {
                let why = format!("the token has {} secret keys of this name: name one by `id:HEX`", several.len());
                Err(refused(Kind::Unfit, why))
            }
        }
    }

    /// Whether the customer lets it encrypt and decrypt.
    fn usable(&self, key: ObjectHandle) -> Result<bool, Refusal> {
        let asked = [AttributeType::KeyType, AttributeType::Encrypt, AttributeType::Decrypt];
        let (mut aes, mut enabled) = (false, 0);
        for attribute in self.session.get_attributes(key, &asked)? {
            match attribute {
                Attribute::KeyType(kind) => aes = kind == KeyType::AES,
                Attribute::Encrypt(true) | Attribute::Decrypt(true) => enabled += 1,
                _ => {}
            }
        }
        if aes { Ok(enabled == 2) } else { Err(refused(Kind::Unfit, "it is no AES key")) }
    }

    fn encrypt(&self, key: ObjectHandle, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, Refusal> {
        let (iv, sealed) = self.sealed(key, aad, plain)?;
        Ok([&[BLOB_FORM][..], &iv, &sealed].concat())
    }

    /// The IV that the token used, and what it made.
    fn sealed(&self, key: ObjectHandle, aad: &[u8], plain: &[u8]) -> Result<([u8; IV_BYTES], Vec<u8>), Refusal> {
        let mut iv = [0; IV_BYTES];
        getrandom::fill(&mut iv).map_err(|e| refused(Kind::Broken, format!("no random IV: {e}")))?;
        let sealed = {
            let mechanism = Mechanism::AesGcm(GcmParams::new(&mut iv, aad, TAG_BITS.into())?);
            self.session.encrypt(&mechanism, key, plain)?
        };
        if sealed.len() != plain.len() + TAG_BYTES {
            return Err(refused(Kind::Unfit, format!("AES-GCM made {} bytes of {}", sealed.len(), plain.len())));
        }
        Ok((iv, sealed))
    }

    fn opened(
        &self,
        key: ObjectHandle,
        aad: &[u8],
        mut iv: [u8; IV_BYTES],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mechanism = Mechanism::AesGcm(GcmParams::new(&mut iv, aad, TAG_BITS.into())?);
        self.session.decrypt(&mechanism, key, sealed).map(Zeroizing::new)
    }

    fn decrypt(&self, key: ObjectHandle, aad: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let none = || refused(Kind::Mismatch, "it is no blob of this provider");
        let (form, rest) = wrapped.split_first().ok_or_else(none)?;
        let (iv, sealed) = rest.split_first_chunk::<IV_BYTES>().ok_or_else(none)?;
        if *form != BLOB_FORM || sealed.len() <= TAG_BYTES {
            return Err(none());
        }
        self.opened(key, aad, *iv, sealed).map_err(|error| match may_be_the_blob(&error) {
            true => self.whose_fault(key, &error),
            false => error.into(),
        })
    }

    /// A token that seals and opens a value of ours with the same key is well: then it is the blob.
    fn whose_fault(&self, key: ObjectHandle, error: &Error) -> Refusal {
        let trial = [0x5a; TRIAL_BYTES];
        let sealed = self.sealed(key, &[], &trial);
        let opened = sealed.and_then(|(iv, sealed)| self.opened(key, &[], iv, &sealed).map_err(Refusal::from));
        let why = said(error);
        match opened {
            Ok(back) if *back == trial => {
                refused(Kind::Mismatch, format!("{why}, and the key opens what it seals now"))
            }
            Ok(_) => refused(Kind::Broken, format!("{why}, and the key opens another value than it seals")),
            Err(trial) => refused(Kind::Broken, format!("{why}; a trial of the key: {}", trial.why)),
        }
    }
}

/// The token of this label and, where it is given, serial number. Slots get other numbers when tokens come and go.
fn slot(pkcs11: &Pkcs11, opening: &Opening) -> Result<Slot, Refusal> {
    let (label, serial) = (&opening.token_label, opening.token_serial.as_deref());
    let mut found = Vec::new();
    for slot in pkcs11.get_slots_with_initialized_token()? {
        let token = pkcs11.get_token_info(slot)?;
        if token.label() == label && serial.is_none_or(|serial| token.serial_number() == serial) {
            found.push(slot);
        }
    }
    let serial = serial.map(|serial| format!(" and serial number `{serial}`")).unwrap_or_default();
    match found.as_slice() {
        [slot] => Ok(*slot),
        [] => Err(refused(
            Kind::Absent,
            format!("there is no token of label `{label}`{serial}: is it plugged in and reachable?"),
        )),
        several => {
            let why = format!("{} tokens have the label `{label}`{serial}: add `token_serial`", several.len());
            Err(refused(Kind::Absent, why))
        }
    }
}

/// `label:LABEL` or `id:HEX`, as what it must be at the token.
fn wanted(name: &str) -> Option<Attribute> {
    match name.split_once(':')? {
        ("label", label) if !label.is_empty() => Some(Attribute::Label(label.as_bytes().to_vec())),
        ("id", hex) if !hex.is_empty() => Some(Attribute::Id(bytes(hex)?)),
        _ => None,
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| u8::try_from(high << 4 | low).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_label_or_an_id() {
        assert_eq!(wanted("label:acme-root"), Some(Attribute::Label(b"acme-root".to_vec())));
        assert_eq!(wanted("label:a:b/c"), Some(Attribute::Label(b"a:b/c".to_vec())));
        assert_eq!(wanted("id:0aFf"), Some(Attribute::Id(vec![0x0a, 0xff])));
        for bad in ["acme-root", "label:", "id:", "id:0a1", "id:xy", "serial:1", ""] {
            assert_eq!(wanted(bad), None, "{bad}");
        }
    }
}
