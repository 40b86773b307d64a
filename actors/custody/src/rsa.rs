//! What an RSA key does for its caller: sign, verify, encrypt, decrypt (RFC 8017); and how one is made and looked at.
//!
//! A stored key is DER: a private key as PKCS#1 or PKCS#8, a public key as PKCS#1 or X.509 SubjectPublicKeyInfo. Each operation parses
//! it anew: nothing of a key outlives its borrow, and the library wipes its copy. A decryption that fails says the same whatever is
//! wrong, since a word more would be an oracle (Manger, CRYPTO 2001).

use aws_lc_rs::{
    digest::{self, Digest},
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{
        KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
        OaepAlgorithm, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
        PublicKey, RsaParameters, RsaPssSaltLength,
    },
    signature::{self as s, KeyPair as _, RsaEncoding, UnparsedPublicKey, VerificationAlgorithm},
};
use zeroize::Zeroizing;

use crate::{
    dek::{Encrypted, within_limit},
    error::Error,
    key_table::{Borrow, Pending},
    vault::Expose,
};

/// Bits of the moduli that are served. NIST SP 800-131A: not less than 2,048; a longer key than the most does not fit the vault.
pub const BITS: std::ops::RangeInclusive<u32> = 2048..=4096;

/// The hash of a signature or of OAEP, whose MGF1 has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// For what exists already: SHA-1 is not for new signatures.
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    /// Bytes of its digest.
    pub fn bytes(self) -> usize {
        self.algorithm().output_len()
    }

    fn oaep(self) -> &'static OaepAlgorithm {
        match self {
            Self::Sha1 => &OAEP_SHA1_MGF1SHA1,
            Self::Sha256 => &OAEP_SHA256_MGF1SHA256,
            Self::Sha384 => &OAEP_SHA384_MGF1SHA384,
            Self::Sha512 => &OAEP_SHA512_MGF1SHA512,
        }
    }
}

/// How many bytes of salt a PSS signature has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Salt {
    /// As many as the digest.
    Digest,
    /// As many as there is room for: see [`longest_salt`].
    Longest,
}

/// Bytes of [`Salt::Longest`] for a modulus of `bits` (RFC 8017 §9.1.1: emLen - hLen - 2).
pub fn longest_salt(bits: u32, hash: Hash) -> Option<usize> {
    usize::try_from(bits.saturating_add(6) / 8).ok()?.checked_sub(hash.bytes().saturating_add(2))
}

/// A signature scheme (RFC 8017 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Pkcs1(Hash),
    Pss(Hash, Salt),
}

impl Scheme {
    /// New signatures are made under it.
    pub fn signs(self) -> bool {
        self.signing().is_some()
    }

    /// Signatures are verified under it.
    pub fn verifies(self) -> bool {
        self.verifying().is_some()
    }

    fn hash(self) -> Hash {
        match self {
            Self::Pkcs1(hash) | Self::Pss(hash, _) => hash,
        }
    }

    fn signing(self) -> Option<&'static dyn RsaEncoding> {
        const LONGEST: RsaPssSaltLength = RsaPssSaltLength::Max;
        Some(match self {
            Self::Pkcs1(Hash::Sha1) | Self::Pss(Hash::Sha1, _) => return None,
            Self::Pkcs1(Hash::Sha256) => &s::RSA_PKCS1_SHA256,
            Self::Pkcs1(Hash::Sha384) => &s::RSA_PKCS1_SHA384,
            Self::Pkcs1(Hash::Sha512) => &s::RSA_PKCS1_SHA512,
            Self::Pss(Hash::Sha256, Salt::Digest) => &s::RSA_PSS_SHA256,
            Self::Pss(Hash::Sha384, Salt::Digest) => &s::RSA_PSS_SHA384,
            Self::Pss(Hash::Sha512, Salt::Digest) => &s::RSA_PSS_SHA512,
            Self::Pss(Hash::Sha256, Salt::Longest) => &const { s::RSA_PSS_SHA256.with_pss_salt_length(LONGEST) },
            Self::Pss(Hash::Sha384, Salt::Longest) => &const { s::RSA_PSS_SHA384.with_pss_salt_length(LONGEST) },
            Self::Pss(Hash::Sha512, Salt::Longest) => &const { s::RSA_PSS_SHA512.with_pss_salt_length(LONGEST) },
        })
    }

    fn verifying(self) -> Option<&'static dyn VerificationAlgorithm> {
        const LONGEST: RsaPssSaltLength = RsaPssSaltLength::Max;
        Some(match self {
            Self::Pss(Hash::Sha1, _) => return None,
            Self::Pkcs1(Hash::Sha1) => &s::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Pkcs1(Hash::Sha256) => &s::RSA_PKCS1_2048_8192_SHA256,
            Self::Pkcs1(Hash::Sha384) => &s::RSA_PKCS1_2048_8192_SHA384,
            Self::Pkcs1(Hash::Sha512) => &s::RSA_PKCS1_2048_8192_SHA512,
            Self::Pss(Hash::Sha256, Salt::Digest) => &s::RSA_PSS_2048_8192_SHA256,
            Self::Pss(Hash::Sha384, Salt::Digest) => &s::RSA_PSS_2048_8192_SHA384,
            Self::Pss(Hash::Sha512, Salt::Digest) => &s::RSA_PSS_2048_8192_SHA512,
            Self::Pss(Hash::Sha256, Salt::Longest) => {
                &const { s::RSA_PSS_2048_8192_SHA256.with_pss_salt_length(LONGEST) }
            }
            Self::Pss(Hash::Sha384, Salt::Longest) => {
                &const { s::RSA_PSS_2048_8192_SHA384.with_pss_salt_length(LONGEST) }
            }
            Self::Pss(Hash::Sha512, Salt::Longest) => {
                &const { s::RSA_PSS_2048_8192_SHA512.with_pss_salt_length(LONGEST) }
            }
        })
    }
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub enum Signed<'a> {
    Data(&'a [u8]),
    /// Its digest, made by the caller with the scheme's hash.
    Digest(&'a [u8]),
}

const SIGN: Expose = Expose::because("sign for the caller");
const VERIFY: Expose = Expose::because("verify a signature for the caller");
const ENCRYPT: Expose = Expose::because("encrypt for the caller by RSA");
const DECRYPT: Expose = Expose::because("decrypt for the caller by RSA");

impl Borrow {
    /// Signs with a private key.
    pub fn sign(&self, scheme: Scheme, signed: Signed<'_>) -> Result<Pending<Vec<u8>>, Error> {
        let failed = |why| Error::Cipher { cipher: "RSA signature", why };
        let encoding = scheme.signing().ok_or_else(|| failed("no new signature is made with SHA-1"))?;
        let pair = key_pair(self.bytes(SIGN)?).ok_or_else(|| failed(NO_PRIVATE_KEY))?;
        let mut signature = vec![0; pair.public_modulus_len()];
        let made = match signed {
            Signed::Data(data) => {
                within_limit(data.len())?;
                pair.sign(encoding, &SystemRandom::new(), data, &mut signature)
            }
            Signed::Digest(digest) => pair.sign_digest(encoding, &imported(scheme, digest)?, &mut signature),
        };
        made.map_err(|_| failed("the key cannot make it: it is too short, or damaged"))?;
        Ok(Pending(signature))
    }

    /// Whether `signature` is a public key's under one of these schemes.
    pub fn verify(&self, schemes: &[Scheme], signed: Signed<'_>, signature: &[u8]) -> Result<Pending<bool>, Error> {
        let key = self.bytes(VERIFY)?;
        for &scheme in schemes {
            let absent = || Error::Cipher { cipher: "RSA signature", why: "PSS with SHA-1 is not verified here" };
            let key = UnparsedPublicKey::new(scheme.verifying().ok_or_else(absent)?, key);
            let verified = match signed {
                Signed::Data(data) => {
                    within_limit(data.len())?;
                    key.verify(data, signature)
                }
                Signed::Digest(digest) => key.verify_digest(&imported(scheme, digest)?, signature),
            };
            if verified.is_ok() {
                return Ok(Pending(true));
            }
        }
        Ok(Pending(false))
    }

    /// Encrypts with a public key by OAEP (RFC 8017 §7.1).
    pub fn rsa_encrypt(&self, hash: Hash, label: &[u8], text: &[u8]) -> Result<Pending<Encrypted>, Error> {
        let failed = |why| Error::Cipher { cipher: "RSA-OAEP", why };
        let key = public_key(self.bytes(ENCRYPT)?).ok_or_else(|| failed("the stored bytes are no RSA public key"))?;
        let key = OaepPublicEncryptingKey::new(key).map_err(|_| failed("the stored key cannot encrypt"))?;
        let mut bytes = vec![0; key.ciphertext_size()];
        let sealed = key.encrypt(hash.oaep(), text, &mut bytes, Some(label));
        sealed.map_err(|_| failed("the text is longer than this key and hash have room for"))?;
        Ok(Pending(Encrypted { bytes, drawn: None, tag: None }))
    }

    /// Decrypts with a private key what was encrypted by OAEP with its public one.
    pub fn rsa_decrypt(&self, hash: Hash, label: &[u8], sealed: &[u8]) -> Result<Pending<Zeroizing<Vec<u8>>>, Error> {
        let failed = |why| Error::Cipher { cipher: "RSA-OAEP", why };
        let key = decrypting(self.bytes(DECRYPT)?).ok_or_else(|| failed(NO_PRIVATE_KEY))?;
        let key = OaepPrivateDecryptingKey::new(key).map_err(|_| failed("the stored key cannot decrypt"))?;
        let mut text = Zeroizing::new(vec![0; key.min_output_size()]);
        let bytes = key.decrypt(hash.oaep(), sealed, &mut text, Some(label)).map(|text| text.len());
        let wrong = "the ciphertext was not made with this key, hash and label, or was changed";
        text.truncate(bytes.map_err(|_| failed(wrong))?);
        Ok(Pending(text))
    }
}

const NO_PRIVATE_KEY: &str = "the stored bytes are no RSA private key";

fn imported(scheme: Scheme, digest: &[u8]) -> Result<Digest, Error> {
    let hash = scheme.hash().algorithm();
    let why = "the digested data does not have the length of the hash";
    Digest::import_less_safe(digest, hash).map_err(|_| Error::Cipher { cipher: "RSA signature", why })
}

fn key_pair(der: &[u8]) -> Option<KeyPair> {
    KeyPair::from_pkcs8(der).or_else(|_| KeyPair::from_der(der)).ok()
}

fn decrypting(der: &[u8]) -> Option<PrivateDecryptingKey> {
    if let Ok(key) = PrivateDecryptingKey::from_pkcs8(der) {
        return Some(key);
    }
    let pkcs8: Pkcs8V1Der<'_> = KeyPair::from_der(der).ok()?.as_der().ok()?;
    PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).ok()
}

fn public_key(der: &[u8]) -> Option<PublicEncryptingKey> {
    if let Ok(key) = PublicEncryptingKey::from_der(der) {
        return Some(key);
    }
    let x509: PublicKeyX509Der<'_> = PublicKey::from_der(der).ok()?.as_der().ok()?;
    PublicEncryptingKey::from_der(x509.as_ref()).ok()
}

/// How a key is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// RSAPrivateKey, RSAPublicKey (RFC 8017 appendix A.1).
    Pkcs1,
    /// PrivateKeyInfo (RFC 5208).
    Pkcs8,
    /// SubjectPublicKeyInfo (RFC 5280).
    X509,
}

/// Bits of the modulus of a private key in this form; `None` if the bytes are no such key, or one out of [`BITS`].
pub fn private_bits(form: Form, der: &[u8]) -> Option<u32> {
    let pair = match form {
        Form::Pkcs1 => KeyPair::from_der(der).ok()?,
        Form::Pkcs8 => KeyPair::from_pkcs8(der).ok()?,
        Form::X509 => return None,
    };
    bits_of(pair.public_key(), der)
}

/// Bits of the modulus of a public key in this form; `None` if the bytes are no such key, or one out of [`BITS`].
pub fn public_bits(form: Form, der: &[u8]) -> Option<u32> {
    let key = PublicKey::from_der(der).ok()?;
    let is_pkcs1 = key.as_ref() == der;
    (is_pkcs1 == (form == Form::Pkcs1) && form != Form::Pkcs8).then(|| bits_of(&key, der)).flatten()
}

fn bits_of(key: &PublicKey, der: &[u8]) -> Option<u32> {
    // The library reads a key and leaves what follows it.
    let (.., rest) = element(der)?;
    let bits = RsaParameters::public_modulus_len(key.as_ref()).ok()?;
    (rest.is_empty() && BITS.contains(&bits)).then_some(bits)
}

/// A new key pair, both halves as PKCS#1.
pub struct Pair {
    pub private: Zeroizing<Vec<u8>>,
    pub public: Vec<u8>,
}

/// Makes a key pair of 2,048, 3,072 or 4,096 bits; `None` for another length. Takes up to seconds: not for a thread that serves others.
///
/// # Errors
/// [`Error::Random`] if the library gives none.
pub fn generate(bits: u32) -> Option<Result<Pair, Error>> {
    let size = match bits {
        2048 => KeySize::Rsa2048,
        3072 => KeySize::Rsa3072,
        4096 => KeySize::Rsa4096,
        _ => return None,
    };
    let failed = || Error::Random("no RSA key pair came of it".to_owned());
    let made = || {
        let pair = KeyPair::generate(size).ok()?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().ok()?;
        let private = Zeroizing::new(pkcs1_of(pkcs8.as_ref())?.to_vec());
        Some(Pair { private, public: pair.public_key().as_ref().to_vec() })
    };
    Some(made().ok_or_else(failed))
}

/// The RSAPrivateKey within a PrivateKeyInfo: version, algorithm, and this in an OCTET STRING.
fn pkcs1_of(pkcs8: &[u8]) -> Option<&[u8]> {
    const OCTET_STRING: u8 = 4;
    let (_, fields, _) = element(pkcs8)?;
    let (.., fields) = element(fields)?;
    let (.., fields) = element(fields)?;
    let (tag, key, _) = element(fields)?;
    (tag == OCTET_STRING).then_some(key)
}

/// The first element of DER (X.690 §8.1): its tag, its content, what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_pair_is_what_it_says_in_its_form_alone() {
        let Pair { private, public } = generate(2048).unwrap().unwrap();
        assert_eq!(private_bits(Form::Pkcs1, &private), Some(2048));
        assert_eq!(public_bits(Form::Pkcs1, &public), Some(2048));
        let pkcs8: Pkcs8V1Der<'_> = KeyPair::from_der(&private).unwrap().as_der().unwrap();
        let x509: PublicKeyX509Der<'_> = PublicKey::from_der(&public).unwrap().as_der().unwrap();
        assert_eq!(private_bits(Form::Pkcs8, pkcs8.as_ref()), Some(2048));
        assert_eq!(public_bits(Form::X509, x509.as_ref()), Some(2048));
        for (form, der) in [(Form::Pkcs8, &private[..]), (Form::Pkcs1, pkcs8.as_ref()), (Form::Pkcs1, &public)] {
            assert_eq!(private_bits(form, der), None, "{form:?}");
        }
        for (form, der) in [(Form::X509, &public[..]), (Form::Pkcs1, x509.as_ref()), (Form::Pkcs1, &private)] {
            assert_eq!(public_bits(form, der), None, "{form:?}");
        }
        let longer = |der: &[u8]| [der, b"x"].concat();
        assert_eq!(private_bits(Form::Pkcs1, &longer(&private)), None);
        assert_eq!(public_bits(Form::Pkcs1, &longer(&public)), None);
        assert!(generate(1024).is_none() && generate(2049).is_none());
    }

    #[test]
    fn lengths_of_der_are_read_and_not_believed() {
        assert_eq!(element(&[4, 2, 7, 8, 9]), Some((4, &[7, 8][..], &[9][..])));
        assert_eq!(element(&[4, 0x82, 0, 1, 7]), Some((4, &[7][..], &[][..])));
        for wrong in
            [&[][..], &[4], &[4, 2, 7], &[4, 0x80, 7], &[4, 0x85, 0, 0, 0, 0, 1, 7], &[4, 0x84, 0xff, 0xff, 0xff, 0xff]]
        {
            assert_eq!(element(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn no_new_signature_has_sha_1() {
        assert!(!Scheme::Pkcs1(Hash::Sha1).signs() && Scheme::Pkcs1(Hash::Sha1).verifies());
        let pss = Scheme::Pss(Hash::Sha1, Salt::Digest);
        assert!(!pss.signs() && !pss.verifies());
        assert_eq!(longest_salt(2048, Hash::Sha256), Some(222));
    }
}
