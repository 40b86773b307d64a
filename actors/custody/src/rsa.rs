//! What an RSA key does for its caller: sign, verify, encrypt, decrypt (RFC 8017); and how one is made and looked at.
//!
//! A stored key is DER: a private key as PKCS#1 or PKCS#8, a public key as PKCS#1 or X.509 SubjectPublicKeyInfo. Each operation parses
//! it anew: nothing of a key outlives its borrow, and the library wipes its copy. A decryption that fails says the same whatever is
//! wrong, since a word more would be an oracle (Manger, CRYPTO 2001).

use aws_lc_rs::{
    digest::Digest,
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{
        KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
        OaepAlgorithm, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
        PublicKey, RsaParameters, RsaPssSaltLength,
    },
    signature::{self as s, KeyPair as _, RsaEncoding, UnparsedPublicKey, VerificationAlgorithm},
};
use zeroize::Zeroizing;

use crate::{
    asymmetric::{Form, Pair},
    dek::Encrypted,
    der::{self, Der},
    error::Error,
    key_table::{Borrow, Pending},
    signature::{Hash, Salt, Scheme},
    vault::Expose,
};

/// Bits of the moduli that are served. NIST SP 800-131A: not less than 2,048; a longer key than the most does not fit the vault.
pub const BITS: std::ops::RangeInclusive<u32> = 2048..=4096;

const ENCRYPT: Expose = Expose::because("encrypt for the caller by RSA");
const DECRYPT: Expose = Expose::because("decrypt for the caller by RSA");

impl Borrow {
    /// Encrypts with a public key by OAEP (RFC 8017 §7.1).
    pub fn rsa_encrypt(&self, hash: Hash, label: &[u8], text: &[u8]) -> Result<Pending<Encrypted>, Error> {
        let failed = |why| Error::Cipher { cipher: "RSA-OAEP", why };
        let key = public_key(self.bytes(ENCRYPT)?).ok_or_else(|| failed("the stored bytes are no RSA public key"))?;
        let key = OaepPublicEncryptingKey::new(key).map_err(|_| failed("the stored key cannot encrypt"))?;
        let mut bytes = vec![0; key.ciphertext_size()];
        let sealed = key.encrypt(oaep(hash), text, &mut bytes, Some(label));
        sealed.map_err(|_| failed("the text is longer than this key and hash have room for"))?;
        Ok(Pending(Encrypted { bytes, drawn: None, tag: None }))
    }

    /// Decrypts with a private key what was encrypted by OAEP with its public one.
    pub fn rsa_decrypt(&self, hash: Hash, label: &[u8], sealed: &[u8]) -> Result<Pending<Zeroizing<Vec<u8>>>, Error> {
        let failed = |why| Error::Cipher { cipher: "RSA-OAEP", why };
        let key = decrypting(self.bytes(DECRYPT)?).ok_or_else(|| failed(NO_PRIVATE_KEY))?;
        let key = OaepPrivateDecryptingKey::new(key).map_err(|_| failed("the stored key cannot decrypt"))?;
        let mut text = Zeroizing::new(vec![0; key.min_output_size()]);
        let bytes = key.decrypt(oaep(hash), sealed, &mut text, Some(label)).map(|text| text.len());
        let wrong = "the ciphertext was not made with this key, hash and label, or was changed";
        text.truncate(bytes.map_err(|_| failed(wrong))?);
        Ok(Pending(text))
    }
}

const NO_PRIVATE_KEY: &str = "the stored bytes are no RSA private key";

pub(crate) fn sign(scheme: Scheme, key: &[u8], digest: &Digest) -> Option<Vec<u8>> {
    let (encoding, pair) = (signing(scheme)?, key_pair(key)?);
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign_digest(encoding, digest, &mut signature).ok()?;
    Some(signature)
}

pub(crate) fn verifies(scheme: Scheme, key: &[u8], digest: &Digest, signature: &[u8]) -> bool {
    verifying(scheme)
        .is_some_and(|algorithm| UnparsedPublicKey::new(algorithm, key).verify_digest(digest, signature).is_ok())
}

fn signing(scheme: Scheme) -> Option<&'static dyn RsaEncoding> {
    const LONGEST: RsaPssSaltLength = RsaPssSaltLength::Max;
    Some(match scheme {
        Scheme::Pkcs1(Hash::Sha1) | Scheme::Pss(Hash::Sha1, _) | Scheme::Ecdsa(..) => return None,
        Scheme::Pkcs1(Hash::Sha256) => &s::RSA_PKCS1_SHA256,
        Scheme::Pkcs1(Hash::Sha384) => &s::RSA_PKCS1_SHA384,
        Scheme::Pkcs1(Hash::Sha512) => &s::RSA_PKCS1_SHA512,
        Scheme::Pss(Hash::Sha256, Salt::Digest) => &s::RSA_PSS_SHA256,
        Scheme::Pss(Hash::Sha384, Salt::Digest) => &s::RSA_PSS_SHA384,
        Scheme::Pss(Hash::Sha512, Salt::Digest) => &s::RSA_PSS_SHA512,
        Scheme::Pss(Hash::Sha256, Salt::Longest) => &const { s::RSA_PSS_SHA256.with_pss_salt_length(LONGEST) },
        Scheme::Pss(Hash::Sha384, Salt::Longest) => &const { s::RSA_PSS_SHA384.with_pss_salt_length(LONGEST) },
        Scheme::Pss(Hash::Sha512, Salt::Longest) => &const { s::RSA_PSS_SHA512.with_pss_salt_length(LONGEST) },
    })
}

fn verifying(scheme: Scheme) -> Option<&'static dyn VerificationAlgorithm> {
    const LONGEST: RsaPssSaltLength = RsaPssSaltLength::Max;
    Some(match scheme {
        Scheme::Pss(Hash::Sha1, _) | Scheme::Ecdsa(..) => return None,
        Scheme::Pkcs1(Hash::Sha1) => &s::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Scheme::Pkcs1(Hash::Sha256) => &s::RSA_PKCS1_2048_8192_SHA256,
        Scheme::Pkcs1(Hash::Sha384) => &s::RSA_PKCS1_2048_8192_SHA384,
        Scheme::Pkcs1(Hash::Sha512) => &s::RSA_PKCS1_2048_8192_SHA512,
        Scheme::Pss(Hash::Sha256, Salt::Digest) => &s::RSA_PSS_2048_8192_SHA256,
        Scheme::Pss(Hash::Sha384, Salt::Digest) => &s::RSA_PSS_2048_8192_SHA384,
        Scheme::Pss(Hash::Sha512, Salt::Digest) => &s::RSA_PSS_2048_8192_SHA512,
        Scheme::Pss(Hash::Sha256, Salt::Longest) => {
            &const { s::RSA_PSS_2048_8192_SHA256.with_pss_salt_length(LONGEST) }
        }
        Scheme::Pss(Hash::Sha384, Salt::Longest) => {
            &const { s::RSA_PSS_2048_8192_SHA384.with_pss_salt_length(LONGEST) }
        }
        Scheme::Pss(Hash::Sha512, Salt::Longest) => {
            &const { s::RSA_PSS_2048_8192_SHA512.with_pss_salt_length(LONGEST) }
        }
    })
}

fn oaep(hash: Hash) -> &'static OaepAlgorithm {
    match hash {
        Hash::Sha1 => &OAEP_SHA1_MGF1SHA1,
        Hash::Sha256 => &OAEP_SHA256_MGF1SHA256,
        Hash::Sha384 => &OAEP_SHA384_MGF1SHA384,
        Hash::Sha512 => &OAEP_SHA512_MGF1SHA512,
    }
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

/// Bits of the modulus of a private key in this form; `None` if the bytes are no such key, or one out of [`BITS`].
pub fn private_bits(form: Form, der: &[u8]) -> Option<u32> {
    let pair = match form {
        Form::Pkcs1 => KeyPair::from_der(der).ok()?,
        Form::Pkcs8 => KeyPair::from_pkcs8(der).ok()?,
        Form::Sec1 | Form::X509 => return None,
    };
    bits_of(pair.public_key(), der)
}

/// Bits of the modulus of a public key in this form; `None` if the bytes are no such key, or one out of [`BITS`].
pub fn public_bits(form: Form, der: &[u8]) -> Option<u32> {
    let key = PublicKey::from_der(der).ok()?;
    let is_pkcs1 = key.as_ref() == der;
    let claimed = matches!((form, is_pkcs1), (Form::Pkcs1, true) | (Form::X509, false));
    claimed.then(|| bits_of(&key, der)).flatten()
}

fn bits_of(key: &PublicKey, bytes: &[u8]) -> Option<u32> {
    // The library reads a key and leaves what follows it.
    let (.., rest) = der::element(bytes)?;
    let bits = RsaParameters::public_modulus_len(key.as_ref()).ok()?;
    (rest.is_empty() && BITS.contains(&bits)).then_some(bits)
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

/// A private key in another form: PKCS#1 or PKCS#8.
pub fn private_as(wanted: Form, key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let pkcs8: Pkcs8V1Der<'_> = key_pair(key)?.as_der().ok()?;
    match wanted {
        Form::Pkcs1 => Some(Zeroizing::new(pkcs1_of(pkcs8.as_ref())?.to_vec())),
        Form::Pkcs8 => Some(Zeroizing::new(pkcs8.as_ref().to_vec())),
        Form::Sec1 | Form::X509 => None,
    }
}

/// A public key in another form: PKCS#1 or X.509.
pub fn public_as(wanted: Form, key: &[u8]) -> Option<Vec<u8>> {
    let key = PublicKey::from_der(key).ok()?;
    match wanted {
        Form::Pkcs1 => Some(key.as_ref().to_vec()),
        Form::X509 => {
            let x509: PublicKeyX509Der<'_> = key.as_der().ok()?;
            Some(x509.as_ref().to_vec())
        }
        Form::Sec1 | Form::Pkcs8 => None,
    }
}

/// The numbers of a private key, in the order of RSAPrivateKey (RFC 8017 appendix A.1.2): modulus, public and private exponent, the
/// primes, their exponents, the coefficient. Each is big-endian without leading zeros.
pub fn private_numbers(key: &[u8]) -> Option<[Zeroizing<Vec<u8>>; 8]> {
    let pkcs1 = private_as(Form::Pkcs1, key)?;
    let (_, fields) = der::unsigned(der::only(der::SEQUENCE, &pkcs1)?)?;
    numbers(fields).map(|numbers| numbers.map(|number| Zeroizing::new(number.to_vec())))
}

/// The private key, as PKCS#1, of these numbers in the order of [`private_numbers`]. Whether they fit together it does not say.
pub fn private_of(numbers: [&[u8]; 8]) -> Option<Zeroizing<Vec<u8>>> {
    let fields = numbers.into_iter().try_fold(Der::new().unsigned(&[])?, Der::unsigned)?;
    Some(Der::new().put(der::SEQUENCE, &[fields.bytes()])?.into_bytes())
}

/// Modulus and exponent of a public key, big-endian without leading zeros.
pub fn public_numbers(key: &[u8]) -> Option<[Vec<u8>; 2]> {
    let pkcs1 = public_as(Form::Pkcs1, key)?;
    numbers(der::only(der::SEQUENCE, &pkcs1)?).map(|numbers| numbers.map(<[u8]>::to_vec))
}

/// The public key, as PKCS#1, of this modulus and exponent. Whether they are a key it does not say.
pub fn public_of(numbers: [&[u8]; 2]) -> Option<Vec<u8>> {
    let fields = numbers.into_iter().try_fold(Der::new(), Der::unsigned)?;
    Some(Der::new().put(der::SEQUENCE, &[fields.bytes()])?.bytes().to_vec())
}

/// So many INTEGERs, and nothing after them.
fn numbers<const N: usize>(mut fields: &[u8]) -> Option<[&[u8]; N]> {
    let mut numbers = [&[][..]; N];
    for number in &mut numbers {
        (*number, fields) = der::unsigned(fields)?;
    }
    fields.is_empty().then_some(numbers)
}

/// The RSAPrivateKey within a PrivateKeyInfo: version, algorithm, and this in an OCTET STRING.
fn pkcs1_of(pkcs8: &[u8]) -> Option<&[u8]> {
    let (fields, _) = der::expect(der::SEQUENCE, pkcs8)?;
    let (_, fields) = der::expect(der::INTEGER, fields)?;
    let (_, fields) = der::expect(der::SEQUENCE, fields)?;
    der::expect(der::OCTET_STRING, fields).map(|(key, _)| key)
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
        assert_eq!(private_as(Form::Pkcs1, pkcs8.as_ref()), Some(private.clone()));
        assert_eq!(private_as(Form::Pkcs8, &private).as_deref().map(Vec::as_slice), Some(pkcs8.as_ref()));
        assert_eq!(public_as(Form::Pkcs1, x509.as_ref()), Some(public.clone()));
        assert_eq!(public_as(Form::X509, &public).as_deref(), Some(x509.as_ref()));
        let numbers = private_numbers(pkcs8.as_ref()).unwrap();
        assert_eq!(private_of(numbers.each_ref().map(|number| number.as_slice())), Some(private.clone()));
        assert_eq!(public_of([&numbers[0], &numbers[1]]), Some(public.clone()));
        assert_eq!(
            public_numbers(x509.as_ref()).map(|[n, e]| (n, e)),
            Some((numbers[0].to_vec(), numbers[1].to_vec()))
        );
        assert!(generate(1024).is_none() && generate(2049).is_none());
    }
}
