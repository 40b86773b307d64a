//! Elliptic curve keys (P-256, P-384, P-521): signed and verified with (FIPS 186-5 §6), made, looked at, written down otherwise.
//!
//! A stored private key is an ECPrivateKey (RFC 5915) or PKCS#8, a stored public key X.509 SubjectPublicKeyInfo. The library has one
//! hash a curve; every other is served through it, since ECDSA knows a digest only as a number ([`Curve::fitted`]).

use aws_lc_rs::{
    digest::{self, Digest},
    encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, PublicKeyX509Der},
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING,
        ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        EcdsaVerificationAlgorithm, KeyPair as _, ParsedPublicKey, UnparsedPublicKey,
    },
};
use zeroize::Zeroizing;

use crate::{
    asymmetric::{Form, Pair},
    der::{self, BIT_STRING, CONTEXT_0, CONTEXT_1, Der, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE},
    error::Error,
};

/// 1.2.840.10045.2.1: id-ecPublicKey (RFC 5480 §2.1.1).
const EC_PUBLIC_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
/// Bytes of the longest digest.
const DIGEST_BYTES_MAX: usize = 64;

/// A curve of FIPS 186-5 over a prime field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    pub const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// Bits of a private key.
    pub fn bits(self) -> u32 {
        match self {
            Self::P256 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
        }
    }

    /// The curve whose private keys have so many bits.
    pub fn of_bits(bits: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.bits() == bits)
    }

    /// Bytes of a private key and of a coordinate.
    fn bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// RFC 5480 §2.1.1.1.
    fn oid(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07],
            Self::P384 => &[0x2B, 0x81, 0x04, 0x00, 0x22],
            Self::P521 => &[0x2B, 0x81, 0x04, 0x00, 0x23],
        }
    }

    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            Self::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
        }
    }

    fn verifying(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1,
            Self::P384 => &ECDSA_P384_SHA384_ASN1,
            Self::P521 => &ECDSA_P521_SHA512_ASN1,
        }
    }

    /// The hash that the library has with the curve.
    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::P256 => &digest::SHA256,
            Self::P384 => &digest::SHA384,
            Self::P521 => &digest::SHA512,
        }
    }

    /// `digest` as one of the curve's own hash. ECDSA takes the leftmost bits, as many as a private key has, for a number (FIPS 186-5
    /// §6.4.1): of a longer digest the end does not count, before a shorter one zeros change nothing.
    fn fitted(self, digest: &Digest) -> Option<Digest> {
        let mut room = [0; DIGEST_BYTES_MAX];
        let own = room.get_mut(..self.digest().output_len())?;
        let kept = digest.as_ref().get(..own.len()).unwrap_or_else(|| digest.as_ref());
        let zeros = own.len() - kept.len();
        own.get_mut(zeros..)?.copy_from_slice(kept);
        Digest::import_less_safe(own, self.digest()).ok()
    }
}

pub(crate) fn sign(curve: Curve, key: &[u8], digest: &Digest) -> Option<Vec<u8>> {
    let pair = EcdsaKeyPair::from_private_key_der(curve.signing(), key).ok()?;
    Some(pair.sign_digest(&curve.fitted(digest)?).ok()?.as_ref().to_vec())
}

pub(crate) fn verifies(curve: Curve, key: &[u8], digest: &Digest, signature: &[u8]) -> bool {
    let digest = curve.fitted(digest);
    digest
        .is_some_and(|digest| UnparsedPublicKey::new(curve.verifying(), key).verify_digest(&digest, signature).is_ok())
}

/// Makes a key pair.
///
/// # Errors
/// [`Error::Random`] if the library gives none.
pub fn generate(curve: Curve) -> Result<Pair, Error> {
    let made = || {
        let pair = EcdsaKeyPair::generate(curve.signing()).ok()?;
        let private = sec1(curve, &pair)?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().ok()?;
        Some(Pair { private, public: public.as_ref().to_vec() })
    };
    made().ok_or_else(|| Error::Random("no elliptic curve key pair came of it".to_owned()))
}

/// The curve of a private key in this form; `None` if the bytes are no such key.
pub fn private_curve(form: Form, key: &[u8]) -> Option<Curve> {
    // ECPrivateKey goes on with the key, PrivateKeyInfo with the algorithm. The library reads either, and leaves what follows it.
    let fields = der::only(SEQUENCE, key)?;
    let (_, fields) = der::expect(INTEGER, fields)?;
    match (form, der::element(fields)?) {
        (Form::Sec1, (OCTET_STRING, ..)) | (Form::Pkcs8, (SEQUENCE, ..)) => {
            Curve::ALL.into_iter().find(|curve| pair(*curve, key).is_some())
        }
        _ => None,
    }
}

/// The curve of a public key in this form; `None` if the bytes are no such key.
pub fn public_curve(form: Form, key: &[u8]) -> Option<Curve> {
    let (curve, point) = parts(key).filter(|_| form == Form::X509)?;
    ParsedPublicKey::new(curve.verifying(), point).ok().map(|_| curve)
}

/// A private key in another form: SEC 1 or PKCS#8.
pub fn private_as(wanted: Form, curve: Curve, key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let pair = pair(curve, key)?;
    match wanted {
        Form::Sec1 => sec1(curve, &pair),
        Form::Pkcs8 => Some(Zeroizing::new(pair.to_pkcs8v1().ok()?.as_ref().to_vec())),
        Form::Pkcs1 | Form::X509 => None,
    }
}

/// The number that a private key is, big-endian, with leading zeros.
pub fn scalar(curve: Curve, key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let scalar: EcPrivateKeyBin<'_> = pair(curve, key)?.private_key().as_be_bytes().ok()?;
    Some(Zeroizing::new(scalar.as_ref().to_vec()))
}

/// The private key, as SEC 1, that is this number. Its public half is computed.
pub fn private_of(curve: Curve, scalar: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let scalar = der::trimmed(scalar);
    let mut padded = Zeroizing::new(vec![0; curve.bytes()]);
    let zeros = padded.len().checked_sub(scalar.len())?;
    padded.get_mut(zeros..)?.copy_from_slice(scalar);
    let named = Der::new().put(OBJECT_IDENTIFIER, &[curve.oid()])?;
    let fields = Der::new().put(INTEGER, &[&[1]])?.put(OCTET_STRING, &[&padded])?.put(CONTEXT_0, &[named.bytes()])?;
    let key = Der::new().put(SEQUENCE, &[fields.bytes()])?;
    private_as(Form::Sec1, curve, key.bytes())
}

/// How a point is written (SEC 1 §2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    Uncompressed,
    Compressed,
}

/// The point that a public key is.
pub fn point(written: Point, key: &[u8]) -> Option<Vec<u8>> {
    let (curve, point) = parts(key)?;
    let whole: PublicKeyX509Der<'_> = ParsedPublicKey::new(curve.verifying(), point).ok()?.as_der().ok()?;
    let (_, point) = parts(whole.as_ref())?;
    match written {
        Point::Uncompressed => Some(point.to_vec()),
        Point::Compressed => {
            let (x, y) = point.get(1..)?.split_at_checked(curve.bytes())?;
            Some([&[2 | (y.last()? & 1)], x].concat())
        }
    }
}

/// The public key, as X.509, whose point is written so; `None` if the point is not on the curve.
pub fn public_of(curve: Curve, point: &[u8]) -> Option<Vec<u8>> {
    let algorithm = Der::new().put(OBJECT_IDENTIFIER, &[EC_PUBLIC_KEY])?.put(OBJECT_IDENTIFIER, &[curve.oid()])?;
    let fields = Der::new().put(SEQUENCE, &[algorithm.bytes()])?.put(BIT_STRING, &[&[0], point])?;
    let key = Der::new().put(SEQUENCE, &[fields.bytes()])?;
    public_curve(Form::X509, key.bytes()).map(|_| key.bytes().to_vec())
}

fn pair(curve: Curve, key: &[u8]) -> Option<EcdsaKeyPair> {
    EcdsaKeyPair::from_private_key_der(curve.signing(), key).ok()
}

/// RFC 5915 §3, with curve and public key, which the library leaves out of what it read without them.
fn sec1(curve: Curve, pair: &EcdsaKeyPair) -> Option<Zeroizing<Vec<u8>>> {
    let scalar: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().ok()?;
    let named = Der::new().put(OBJECT_IDENTIFIER, &[curve.oid()])?;
    let point = Der::new().put(BIT_STRING, &[&[0], pair.public_key().as_ref()])?;
    let fields = Der::new()
        .put(INTEGER, &[&[1]])?
        .put(OCTET_STRING, &[scalar.as_ref()])?
        .put(CONTEXT_0, &[named.bytes()])?
        .put(CONTEXT_1, &[point.bytes()])?;
    Some(Der::new().put(SEQUENCE, &[fields.bytes()])?.into_bytes())
}

/// Curve and point of a SubjectPublicKeyInfo.
fn parts(key: &[u8]) -> Option<(Curve, &[u8])> {
    let (algorithm, bits) = der::expect(SEQUENCE, der::only(SEQUENCE, key)?)?;
    let (kind, named) = der::expect(OBJECT_IDENTIFIER, algorithm)?;
    let named = der::only(OBJECT_IDENTIFIER, named).filter(|_| kind == EC_PUBLIC_KEY)?;
    let curve = Curve::ALL.into_iter().find(|curve| curve.oid() == named)?;
    let (&unused, point) = der::only(BIT_STRING, bits)?.split_first()?;
    // The point at infinity is one byte and no key; the library's refusal of it is not relied on.
    (unused == 0 && point.len() > curve.bytes()).then_some((curve, point))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::EcPrivateKeyRfc5915Der;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// (r, s) as DER.
    fn signature(r: &str, s: &str) -> Vec<u8> {
        let numbers = Der::new().unsigned(&hex(r)).unwrap().unsigned(&hex(s)).unwrap();
        Der::new().put(SEQUENCE, &[numbers.bytes()]).unwrap().bytes().to_vec()
    }

    #[test]
    fn a_new_pair_is_what_it_says_in_its_form_alone() {
        for curve in Curve::ALL {
            let Pair { private, public } = generate(curve).unwrap();
            assert_eq!(private_curve(Form::Sec1, &private), Some(curve));
            let library: EcPrivateKeyRfc5915Der<'_> = pair(curve, &private).unwrap().private_key().as_der().unwrap();
            assert_eq!(library.as_ref(), private.as_slice());
            assert_eq!(public_curve(Form::X509, &public), Some(curve));
            let pkcs8 = private_as(Form::Pkcs8, curve, &private).unwrap();
            assert_eq!(private_curve(Form::Pkcs8, &pkcs8), Some(curve));
            assert_eq!(private_as(Form::Sec1, curve, &pkcs8), Some(private.clone()));
            for (form, key) in [(Form::Pkcs8, &private), (Form::Sec1, &pkcs8), (Form::Pkcs1, &private)] {
                assert_eq!(private_curve(form, key), None, "{form:?}");
            }
            assert_eq!(private_of(curve, &scalar(curve, &pkcs8).unwrap()), Some(private.clone()));
            let longer = |key: &[u8]| [key, b"x"].concat();
            assert_eq!(private_curve(Form::Sec1, &longer(&private)), None);
            assert_eq!(public_curve(Form::X509, &longer(&public)), None);
            assert_eq!(public_curve(Form::Pkcs1, &public), None);
            assert_eq!(Curve::of_bits(curve.bits()), Some(curve));
        }
    }

    #[test]
    fn a_point_is_written_in_either_way_and_is_on_its_curve() {
        for curve in Curve::ALL {
            let public = generate(curve).unwrap().public;
            let (whole, short) =
                (point(Point::Uncompressed, &public).unwrap(), point(Point::Compressed, &public).unwrap());
            assert_eq!((whole.len(), short.len()), (2 * curve.bytes() + 1, curve.bytes() + 1));
            assert_eq!(public_of(curve, &whole), Some(public.clone()));
            let compressed = public_of(curve, &short).unwrap();
            assert_eq!(point(Point::Uncompressed, &compressed), Some(whole.clone()));
            let mut off = whole.clone();
            off[curve.bytes()] ^= 1;
            for wrong in [&off[..], &whole[1..], &[0], &[]] {
                assert_eq!(public_of(curve, wrong), None);
            }
            let other = Curve::ALL.into_iter().find(|other| *other != curve).unwrap();
            assert_eq!(public_of(other, &whole), None);
        }
    }

    #[test]
    fn no_number_outside_the_order_is_a_key() {
        for curve in Curve::ALL {
            for wrong in [vec![], vec![0; curve.bytes()], vec![0xff; curve.bytes()], vec![1; curve.bytes() + 1]] {
                assert_eq!(private_of(curve, &wrong), None, "{wrong:?}");
            }
            assert_eq!(scalar(curve, &private_of(curve, &[1]).unwrap()).unwrap().last(), Some(&1));
        }
    }

    /// RFC 6979 appendix A.2.5 and A.2.6: P-256 and P-384 with hashes that are not theirs, message "sample".
    #[test]
    fn signatures_of_rfc_6979_are_valid_with_every_hash() {
        let p256 = "04 60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6
                    7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299";
        let p384 = "04 EC3A4E415B4E19A4568618029F427FA5DA9A8BC4AE92E02E06AAE5286B300C64DEF8F0EA9055866064A254515480BC13
                    8015D9B72D7D57244EA8EF9AC0C621896708A59367F9DFB9F54CA84B3F1C9DB1288B231C3AE0D4FE7344FD2533264720";
        let known = [
            (
                Curve::P256,
                p256,
                &digest::SHA256,
                "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
                "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
            ),
            (
                Curve::P256,
                p256,
                &digest::SHA384,
                "0EAFEA039B20E9B42309FB1D89E213057CBF973DC0CFC8F129EDDDC800EF7719",
                "4861F0491E6998B9455193E34E7B0D284DDD7149A74B95B9261F13ABDE940954",
            ),
            (
                Curve::P256,
                p256,
                &digest::SHA512,
                "8496A60B5E9B47C825488827E0495B0E3FA109EC4568FD3F8D1097678EB97F00",
                "2362AB1ADBE2B8ADF9CB9EDAB740EA6049C028114F2460F96554F61FAE3302FE",
            ),
            (
                Curve::P384,
                p384,
                &digest::SHA256,
                "21B13D1E013C7FA1392D03C5F99AF8B30C570C6F98D4EA8E354B63A21D3DAA33BDE1E888E63355D92FA2B3C36D8FB2CD",
                "F3AA443FB107745BF4BD77CB3891674632068A10CA67E3D45DB2266FA7D1FEEBEFDC63ECCD1AC42EC0CB8668A4FA0AB0",
            ),
        ];
        for (curve, q, hash, r, s) in known {
            let key = public_of(curve, &hex(q)).unwrap();
            let valid = |text| verifies(curve, &key, &digest::digest(hash, text), &signature(r, s));
            assert!(valid(b"sample"), "{curve:?} {hash:?}");
            assert!(!valid(b"Sample"), "{curve:?} {hash:?}");
        }
        let x = "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721";
        let private = private_of(Curve::P256, &hex(x)).unwrap();
        let public: PublicKeyX509Der<'_> = pair(Curve::P256, &private).unwrap().public_key().as_der().unwrap();
        assert_eq!(Some(public.as_ref().to_vec()), public_of(Curve::P256, &hex(p256)));
    }

    #[test]
    fn what_is_signed_with_any_hash_is_valid_with_that_one_alone() {
        let hashes = [&digest::SHA256, &digest::SHA384, &digest::SHA512];
        for curve in Curve::ALL {
            let Pair { private, public } = generate(curve).unwrap();
            for hash in hashes {
                let signed = digest::digest(hash, b"text");
                let made = sign(curve, &private, &signed).unwrap();
                for other in hashes {
                    let valid = verifies(curve, &public, &digest::digest(other, b"text"), &made);
                    assert_eq!(valid, std::ptr::eq(other, hash), "{curve:?}");
                }
                let mut damaged = made.clone();
                *damaged.last_mut().unwrap() ^= 1;
                for wrong in [&damaged[..], &made[1..], &[], &[0x30, 6, 2, 1, 0, 2, 1, 0], &[0x30, 6, 2, 1, 1, 2, 1, 0]]
                {
                    assert!(!verifies(curve, &public, &signed, wrong), "{wrong:?}");
                }
            }
            assert!(sign(curve, &public, &digest::digest(hashes[0], b"")).is_none());
        }
    }
}
