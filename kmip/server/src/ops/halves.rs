//! Private and public keys, from the wire to the store and back (KMIP 1.4 §2.1.3, §2.1.7).
//!
//! A half that comes as bytes is stored as it came. One that comes as a structure of numbers is stored as DER of the same family,
//! and its digest, which goes over the structure, is taken here. A half leaves in the format in which it came, or in any other that
//! says the same.

use aws_lc_rs::digest::{SHA256, digest};
use custody::{
    asymmetric::Form,
    ec::{self, Curve, Point},
    object::{Domain, ObjectMeta},
    rsa,
};
use kmip::{
    KeyBlock, KeyMaterial, ResultReason,
    message::Failure,
    tables::{CryptographicAlgorithm, KeyCompressionType, KeyFormatType, ObjectType, RecommendedCurve},
    transparent::{BigInteger, EcPrivateKey, EcPublicKey, RsaPrivateKey, RsaPublicKey},
};
use zeroize::Zeroizing;

use crate::refusal::{self, Outcome, fail, invalid_field, unsupported};

/// What a key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Rsa,
    Ec,
}

impl Family {
    pub(super) fn of(algorithm: CryptographicAlgorithm) -> Option<Self> {
        use CryptographicAlgorithm as A;
        match algorithm {
            A::Rsa => Some(Self::Rsa),
            A::Ecdsa | A::Ecdh | A::Ecmqv | A::Ec => Some(Self::Ec),
            _ => None,
        }
    }
}

/// One half of a key pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Half {
    pub(super) family: Family,
    private: bool,
}

impl Half {
    /// `None` for what is no private or public key of a family that is known here.
    pub(super) fn of(meta: &ObjectMeta) -> Option<Self> {
        let private = match ObjectType::from_code(meta.object_type)? {
            ObjectType::PrivateKey => true,
            ObjectType::PublicKey => false,
            _ => return None,
        };
        let family = Family::of(CryptographicAlgorithm::from_code(meta.algorithm?)?)?;
        Some(Self { family, private })
    }

    /// The form in which a half of this format is stored. The transparent formats of curves differ in their names alone.
    fn form(self, format: KeyFormatType) -> Option<Form> {
        use KeyFormatType as F;
        match (self.family, self.private, format) {
            (Family::Rsa, _, F::Pkcs1)
            | (Family::Rsa, true, F::TransparentRsaPrivateKey)
            | (Family::Rsa, false, F::TransparentRsaPublicKey) => Some(Form::Pkcs1),
            (_, true, F::Pkcs8) => Some(Form::Pkcs8),
            (Family::Ec, true, F::EcPrivateKey)
            | (
                Family::Ec,
                true,
                F::TransparentEcdsaPrivateKey
                | F::TransparentEcdhPrivateKey
                | F::TransparentEcmqvPrivateKey
                | F::TransparentEcPrivateKey,
            ) => Some(Form::Sec1),
            (_, false, F::X509)
            | (
                Family::Ec,
                false,
                F::TransparentEcdsaPublicKey
                | F::TransparentEcdhPublicKey
                | F::TransparentEcmqvPublicKey
                | F::TransparentEcPublicKey,
            ) => Some(Form::X509),
            _ => None,
        }
    }

    fn what(self) -> &'static str {
        match (self.family, self.private) {
            (Family::Rsa, true) => "RSA Private Key of 2048 to 4096 bits",
            (Family::Rsa, false) => "RSA Public Key of 2048 to 4096 bits",
            (Family::Ec, true) => "Private Key of P-256, P-384 or P-521",
            (Family::Ec, false) => "Public Key of P-256, P-384 or P-521",
        }
    }

    fn not_supported(self, format: KeyFormatType) -> Failure {
        let offered = match (self.family, self.private) {
            (Family::Rsa, true) => "PKCS#1, PKCS#8 and Transparent RSA Private Key",
            (Family::Rsa, false) => "PKCS#1, X.509 and Transparent RSA Public Key",
            (Family::Ec, true) => "ECPrivateKey, PKCS#8 and Transparent EC Private Key",
            (Family::Ec, false) => "X.509 and Transparent EC Public Key",
        };
        let message = format!("the format {format} for a {}; {offered} are", self.what());
        fail(ResultReason::KeyFormatTypeNotSupported, message)
    }
}

/// Takes a half that is brought, whole and in the format that it claims: what it says of itself goes to `meta`, what is stored of it
/// to the block's material.
pub(super) fn take(meta: &mut ObjectMeta, block: &mut KeyBlock) -> Outcome<()> {
    let half = Half::of(meta).ok_or_else(|| no_family(meta))?;
    let format = block.key_format_type;
    let form = half.form(format).ok_or_else(|| half.not_supported(format))?;
    let wrong = || invalid_field(format!("Key Material is no {} in the format {format}", half.what()));
    if format.is_structured() {
        let whole = digest(&SHA256, block.material.expose());
        meta.digest = whole.as_ref().try_into().ok().map(orbital::names::Digest);
        block.material = of_numbers(half, &block.material)?.ok_or_else(wrong)?;
    }
    let key = block.material.expose();
    match half.family {
        Family::Rsa => {
            let bits = if half.private { rsa::private_bits(form, key) } else { rsa::public_bits(form, key) };
            describe_rsa(meta, bits.ok_or_else(wrong)?)
        }
        Family::Ec => {
            let curve = if half.private { ec::private_curve(form, key) } else { ec::public_curve(form, key) };
            describe_ec(meta, curve.ok_or_else(wrong)?)
        }
    }
}

fn no_family(meta: &ObjectMeta) -> Failure {
    match meta.algorithm.and_then(CryptographicAlgorithm::from_code) {
        Some(other) => {
            unsupported(format!("a private or public key of the algorithm {other}; RSA, EC, ECDSA, ECDH and ECMQV are"))
        }
        None => invalid_field("a key needs a Cryptographic Algorithm, in its attributes or its Key Block"),
    }
}

/// Sets the length of an RSA key; what its creator said must agree.
pub(super) fn describe_rsa(meta: &mut ObjectMeta, bits: u32) -> Outcome<()> {
    if meta.domain.is_some() {
        return Err(invalid_field("an RSA key has no Cryptographic Domain Parameters"));
    }
    agree_length(meta, bits)
}

/// Sets length and curve of an elliptic curve key; what its creator said must agree.
pub(super) fn describe_ec(meta: &mut ObjectMeta, curve: Curve) -> Outcome<()> {
    agree_length(meta, curve.bits())?;
    let own = Domain { q_bits: None, curve: Some(code_of(curve).code()) };
    let said = meta.domain.get_or_insert(own);
    if said.curve.is_some_and(|code| Some(code) != own.curve) || said.q_bits.is_some_and(|bits| bits != curve.bits()) {
        return Err(invalid_field("Cryptographic Domain Parameters name another curve than the key's"));
    }
    said.curve = own.curve;
    Ok(())
}

fn agree_length(meta: &mut ObjectMeta, bits: u32) -> Outcome<()> {
    match meta.length_bits.replace(bits) {
        Some(stated) if stated != bits => {
            Err(invalid_field(format!("Cryptographic Length is {stated}, but the key has {bits} bits")))
        }
        _ => Ok(()),
    }
}

fn code_of(curve: Curve) -> RecommendedCurve {
    match curve {
        Curve::P256 => RecommendedCurve::P256,
        Curve::P384 => RecommendedCurve::P384,
        Curve::P521 => RecommendedCurve::P521,
    }
}

/// The curve of this name, if it is offered.
pub(super) fn curve_of(named: RecommendedCurve) -> Outcome<Curve> {
    let curve = Curve::ALL.into_iter().find(|curve| code_of(*curve) == named);
    curve.ok_or_else(|| unsupported(format!("the curve {named}; P-256, P-384 and P-521 are")))
}

/// The DER of a key that is brought as numbers; `None` if they are no key.
fn of_numbers(half: Half, material: &KeyMaterial) -> Outcome<Option<KeyMaterial>> {
    let read = |error| refusal::of_wire(&error);
    Ok(match (half.family, half.private) {
        (Family::Rsa, true) => {
            let key: RsaPrivateKey = material.structure().map_err(read)?;
            let numbers = rsa_numbers(&key).ok_or_else(incomplete)?;
            rsa::private_of(numbers).map(KeyMaterial::from)
        }
        (Family::Rsa, false) => {
            let key: RsaPublicKey = material.structure().map_err(read)?;
            rsa::public_of([key.modulus.expose(), key.public_exponent.expose()]).map(KeyMaterial::new)
        }
        (Family::Ec, true) => {
            let key: EcPrivateKey = material.structure().map_err(read)?;
            ec::private_of(curve_of(key.recommended_curve)?, key.d.expose()).map(KeyMaterial::from)
        }
        (Family::Ec, false) => {
            let key: EcPublicKey = material.structure().map_err(read)?;
            ec::public_of(curve_of(key.recommended_curve)?, &key.q_string).map(KeyMaterial::new)
        }
    })
}

/// In the order of PKCS#1.
fn rsa_numbers(key: &RsaPrivateKey) -> Option<[&[u8]; 8]> {
    let optional = [
        &key.public_exponent,
        &key.private_exponent,
        &key.p,
        &key.q,
        &key.prime_exponent_p,
        &key.prime_exponent_q,
        &key.crt_coefficient,
    ];
    let mut numbers = [key.modulus.expose(); 8];
    for (number, optional) in numbers.iter_mut().skip(1).zip(optional) {
        *number = optional.as_ref()?.expose();
    }
    Some(numbers)
}

/// §2.1.7.4 lets a client leave numbers out that follow from the others; the library computes none.
fn incomplete() -> Failure {
    let message = "a Transparent RSA Private Key without all of its numbers; send both exponents, P, Q, Prime Exponent P and Q and \
                   CRT Coefficient, or PKCS#1";
    fail(ResultReason::KeyFormatTypeNotSupported, message)
}

/// How a stored half is to leave. Made before its key is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    half: Half,
    form: Form,
    format: KeyFormatType,
    /// Of a curve's key.
    curve: Option<Curve>,
    /// A point in a public key; `None` as the format has it.
    point: Option<Point>,
    /// The stored bytes are what is answered.
    as_stored: bool,
}

impl Leaving {
    pub(super) fn of(
        meta: &ObjectMeta,
        wanted: Option<KeyFormatType>,
        compression: Option<KeyCompressionType>,
    ) -> Outcome<Self> {
        let half = Half::of(meta).ok_or_else(|| no_family(meta))?;
        let stored = meta.key_format.and_then(KeyFormatType::from_code);
        let format = wanted.or(stored).ok_or_else(|| invalid_field("the key has no Key Format Type"))?;
        let form = half.form(format).ok_or_else(|| half.not_supported(format))?;
        let point = compression.map(|compression| point_of(half, compression)).transpose()?;
        let as_stored = stored == Some(format) && !format.is_structured() && point.is_none();
        let curve = meta.length_bits.and_then(Curve::of_bits).filter(|_| half.family == Family::Ec);
        Ok(Self { half, form, format, curve, point, as_stored })
    }

    pub(super) fn format(&self) -> KeyFormatType {
        self.format
    }

    /// The Key Material of the answer.
    pub(super) fn material(self, key: Zeroizing<Vec<u8>>) -> Outcome<KeyMaterial> {
        if self.as_stored {
            return Ok(key.into());
        }
        let damaged = || refusal::try_again("the stored key cannot be read");
        self.turned(&key).ok_or_else(damaged)
    }

    fn turned(self, key: &[u8]) -> Option<KeyMaterial> {
        let structured = self.format.is_structured();
        match (self.half.family, self.half.private) {
            (Family::Rsa, true) if structured => rsa_private(key),
            (Family::Rsa, true) => rsa::private_as(self.form, key).map(KeyMaterial::from),
            (Family::Rsa, false) if structured => {
                let [modulus, exponent] = rsa::public_numbers(key)?.map(|number| BigInteger::new(&number));
                Some(KeyMaterial::of_structure(&RsaPublicKey { modulus, public_exponent: exponent }))
            }
            (Family::Rsa, false) => rsa::public_as(self.form, key).map(KeyMaterial::new),
            (Family::Ec, true) if structured => {
                let (recommended_curve, scalar) = (code_of(self.curve?), ec::scalar(self.curve?, key)?);
                Some(KeyMaterial::of_structure(&EcPrivateKey { recommended_curve, d: BigInteger::new(&scalar) }))
            }
            (Family::Ec, true) => ec::private_as(self.form, self.curve?, key).map(KeyMaterial::from),
            (Family::Ec, false) => {
                let point = ec::point(self.point.unwrap_or(Point::Uncompressed), key)?;
                let recommended_curve = code_of(self.curve?);
                if structured {
                    return Some(KeyMaterial::of_structure(&EcPublicKey { recommended_curve, q_string: point }));
                }
                ec::public_of(self.curve?, &point).map(KeyMaterial::new)
            }
        }
    }
}

fn rsa_private(key: &[u8]) -> Option<KeyMaterial> {
    let [modulus, public_exponent, private_exponent, p, q, prime_exponent_p, prime_exponent_q, crt_coefficient] =
        rsa::private_numbers(key)?.map(|number| BigInteger::new(&number));
    Some(KeyMaterial::of_structure(&RsaPrivateKey {
        modulus,
        private_exponent: Some(private_exponent),
        public_exponent: Some(public_exponent),
        p: Some(p),
        q: Some(q),
        prime_exponent_p: Some(prime_exponent_p),
        prime_exponent_q: Some(prime_exponent_q),
        crt_coefficient: Some(crt_coefficient),
    }))
}

/// A Key Compression Type, which is for the public keys of curves alone.
fn point_of(half: Half, compression: KeyCompressionType) -> Outcome<Point> {
    use KeyCompressionType as C;
    match compression {
        C::EcPublicKeyTypeUncompressed if half.family == Family::Ec && !half.private => Ok(Point::Uncompressed),
        C::EcPublicKeyTypeX962CompressedPrime if half.family == Family::Ec && !half.private => Ok(Point::Compressed),
        _ => Err(no_compression(compression)),
    }
}

pub(super) fn no_compression(compression: KeyCompressionType) -> Failure {
    let message = format!(
        "{compression}; EC Public Key Type Uncompressed and X9.62 Compressed Prime are, for public keys of P-256, P-384 and P-521"
    );
    fail(ResultReason::KeyCompressionTypeNotSupported, message)
}
