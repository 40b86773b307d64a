//! Transparent keys: Key Material as a structure of numbers (KMIP 1.4 §2.1.7), of RSA and of elliptic curves.
//!
//! A [`KeyMaterial`] of such a format holds the whole item, as the digest of the key is taken over it; these shapes read and write it.
//! Transparent Symmetric Key is not among them: its material is held as plain bytes.

use zeroize::Zeroizing;

use crate::{
    error::WireError,
    object::KeyMaterial,
    tables::{KeyFormatType, ProtocolVersion, RecommendedCurve, Tag},
    ttlv::{HEADER_BYTES, Item, Kind, Limits, Record, Value, Writer, parse, record},
};

/// A number that is not negative, big-endian without leading zeros. Wiped when dropped.
pub struct BigInteger(Zeroizing<Vec<u8>>);

impl BigInteger {
    /// Leading zeros are left out.
    pub fn new(number: &[u8]) -> Self {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        Self(Zeroizing::new(number.get(zeros..).unwrap_or_default().to_vec()))
    }

    /// The number's bytes. It may be secret: each caller of this name reads a key.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> Value<'a> for BigInteger {
    fn read(item: &Item<'a>, _: ProtocolVersion) -> Result<Self, WireError> {
        let bytes = item.big_integer()?;
        match bytes.first() {
            Some(first) if first & 0x80 != 0 => Err(WireError::OutOfRange { field: item.tag, found: -1 }),
            _ => Ok(Self::new(bytes)),
        }
    }

    /// §9.1.1.4: a multiple of eight bytes, the first bit the sign's.
    fn write(&self, tag: Tag, writer: &mut Writer<'_>) {
        let bytes = (self.0.len() + 1).next_multiple_of(8);
        let mut padded = Zeroizing::new(vec![0; bytes]);
        padded.iter_mut().rev().zip(self.0.iter().rev()).for_each(|(to, from)| *to = *from);
        writer.raw(tag, Kind::BigInteger, &padded);
    }
}

record! {
    /// §2.1.7.4.
    pub struct RsaPrivateKey {
        need modulus: BigInteger = MODULUS V1_0,
        opt private_exponent: BigInteger = PRIVATE_EXPONENT V1_0,
        opt public_exponent: BigInteger = PUBLIC_EXPONENT V1_0,
        opt p: BigInteger = P V1_0,
        opt q: BigInteger = Q V1_0,
        opt prime_exponent_p: BigInteger = PRIME_EXPONENT_P V1_0,
        opt prime_exponent_q: BigInteger = PRIME_EXPONENT_Q V1_0,
        opt crt_coefficient: BigInteger = CRT_COEFFICIENT V1_0,
    }
}

record! {
    /// §2.1.7.5.
    pub struct RsaPublicKey {
        need modulus: BigInteger = MODULUS V1_0,
        need public_exponent: BigInteger = PUBLIC_EXPONENT V1_0,
    }
}

record! {
    /// §2.1.7.14, and §2.1.7.8, §2.1.7.10, §2.1.7.12 by their older names.
    pub struct EcPrivateKey {
        need recommended_curve: RecommendedCurve = RECOMMENDED_CURVE V1_0,
        need d: BigInteger = D V1_0,
    }
}

record! {
    /// §2.1.7.15, and §2.1.7.9, §2.1.7.11, §2.1.7.13 by their older names.
    pub struct EcPublicKey {
        need recommended_curve: RecommendedCurve = RECOMMENDED_CURVE V1_0,
        need q_string: Vec<u8> = Q_STRING V1_0,
    }
}

impl KeyFormatType {
    /// Whether Key Material is a structure that is held whole.
    pub fn is_structured(self) -> bool {
        (Self::TransparentDsaPrivateKey.code()..=Self::TransparentEcPublicKey.code()).contains(&self.code())
    }
}

impl KeyMaterial {
    /// The structure that this material is.
    pub fn structure<'a, T: Record<'a>>(&'a self) -> Result<T, WireError> {
        T::read_fields(parse(self.expose(), &Limits::REQUEST)?, ProtocolVersion::V1_4)
    }

    /// The material of a transparent format.
    pub fn of_structure<'a>(fields: &impl Record<'a>) -> Self {
        let mut out = vec![];
        Writer::new(&mut out, ProtocolVersion::V1_4).structure(Tag::KEY_MATERIAL, |writer| fields.write_fields(writer));
        Self::new(out)
    }

    /// Takes over an item that was read.
    pub(crate) fn of_item(item: &Item<'_>) -> Result<Self, WireError> {
        let mut out = vec![];
        Writer::new(&mut out, ProtocolVersion::V1_4).raw(item.tag, Kind::Structure, item.structure()?.bytes());
        Ok(Self::new(out))
    }

    pub(crate) fn write_item(&self, writer: &mut Writer<'_>) {
        writer.raw(Tag::KEY_MATERIAL, Kind::Structure, self.expose().get(HEADER_BYTES..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_sign_bit_free_and_lose_their_zeros() {
        let written = |number: &[u8]| {
            let key = RsaPublicKey { modulus: BigInteger::new(number), public_exponent: BigInteger::new(&[1, 0, 1]) };
            let material = KeyMaterial::of_structure(&key);
            let read = material.structure::<RsaPublicKey>().unwrap();
            (material.expose()[12..16].to_vec(), read.modulus.expose().to_vec())
        };
        assert_eq!(written(&[]), (vec![0, 0, 0, 8], vec![]));
        assert_eq!(written(&[0, 0, 7]), (vec![0, 0, 0, 8], vec![7]));
        assert_eq!(written(&[0x7f; 7]), (vec![0, 0, 0, 8], vec![0x7f; 7]));
        assert_eq!(written(&[0xff; 8]), (vec![0, 0, 0, 16], vec![0xff; 8]));
        let mut negative = KeyMaterial::of_structure(&RsaPublicKey {
            modulus: BigInteger::new(&[1]),
            public_exponent: BigInteger::new(&[3]),
        })
        .expose()
        .to_vec();
        negative[16] = 0x80;
        let refused = KeyMaterial::new(negative).structure::<RsaPublicKey>().err();
        assert_eq!(refused, Some(WireError::OutOfRange { field: Tag::MODULUS, found: -1 }));
    }

    #[test]
    fn material_that_is_no_such_structure_is_refused() {
        let curve = EcPublicKey { recommended_curve: RecommendedCurve::P256, q_string: vec![4; 65] };
        let material = KeyMaterial::of_structure(&curve);
        assert_eq!(material.structure::<EcPublicKey>().unwrap().q_string, [4; 65]);
        assert!(material.structure::<EcPrivateKey>().is_err());
        assert!(material.structure::<RsaPublicKey>().is_err());
        let bytes = material.expose();
        for wrong in [&bytes[1..], &bytes[..bytes.len() - 8], &[]] {
            assert!(KeyMaterial::from(wrong).structure::<EcPublicKey>().is_err());
        }
    }
}
