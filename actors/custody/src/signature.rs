//! Signatures, made and verified: RSA and elliptic curves, over data or over a digest that the caller made.

use aws_lc_rs::digest::{self, Digest};

use crate::{
    dek::within_limit,
    ec::{self, Curve},
    error::Error,
    key_table::{Borrow, Pending},
    rsa,
    vault::Expose,
};

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
    pub(crate) fn algorithm(self) -> &'static digest::Algorithm {
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

/// A signature scheme: two of RSA (RFC 8017 §8) and that of elliptic curves (FIPS 186-5 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Pkcs1(Hash),
    Pss(Hash, Salt),
    /// A signature is DER (RFC 3279 §2.2.3: Ecdsa-Sig-Value).
    Ecdsa(Curve, Hash),
}

impl Scheme {
    /// New signatures are made under it.
    pub fn signs(self) -> bool {
        self.hash() != Hash::Sha1
    }

    /// Signatures are verified under it.
    pub fn verifies(self) -> bool {
        !matches!(self, Self::Pss(Hash::Sha1, _))
    }

    fn hash(self) -> Hash {
        match self {
            Self::Pkcs1(hash) | Self::Pss(hash, _) | Self::Ecdsa(_, hash) => hash,
        }
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

impl Borrow {
    /// Signs with a private key.
    pub fn sign(&self, scheme: Scheme, signed: Signed<'_>) -> Result<Pending<Vec<u8>>, Error> {
        if !scheme.signs() {
            return Err(failed("no new signature is made with SHA-1"));
        }
        let (digest, key) = (digest_of(scheme, signed)?, self.bytes(SIGN)?);
        let made = match scheme {
            Scheme::Pkcs1(_) | Scheme::Pss(..) => rsa::sign(scheme, key, &digest),
            Scheme::Ecdsa(curve, _) => ec::sign(curve, key, &digest),
        };
        made.map(Pending).ok_or_else(|| failed("the key is no private key of the scheme, too short for it, or damaged"))
    }

    /// Whether `signature` is a public key's under one of these schemes.
    pub fn verify(&self, schemes: &[Scheme], signed: Signed<'_>, signature: &[u8]) -> Result<Pending<bool>, Error> {
        let key = self.bytes(VERIFY)?;
        for &scheme in schemes {
            if !scheme.verifies() {
                return Err(failed("PSS with SHA-1 is not verified here"));
            }
            let digest = digest_of(scheme, signed)?;
            let valid = match scheme {
                Scheme::Pkcs1(_) | Scheme::Pss(..) => rsa::verifies(scheme, key, &digest, signature),
                Scheme::Ecdsa(curve, _) => ec::verifies(curve, key, &digest, signature),
            };
            if valid {
                return Ok(Pending(true));
            }
        }
        Ok(Pending(false))
    }
}

fn failed(why: &'static str) -> Error {
    Error::Cipher { cipher: "signature", why }
}

fn digest_of(scheme: Scheme, signed: Signed<'_>) -> Result<Digest, Error> {
    let hash = scheme.hash().algorithm();
    match signed {
        Signed::Data(data) => {
            within_limit(data.len())?;
            Ok(digest::digest(hash, data))
        }
        Signed::Digest(digest) => Digest::import_less_safe(digest, hash)
            .map_err(|_| failed("the digested data does not have the length of the hash")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_new_signature_has_sha_1() {
        assert!(!Scheme::Pkcs1(Hash::Sha1).signs() && Scheme::Pkcs1(Hash::Sha1).verifies());
        let pss = Scheme::Pss(Hash::Sha1, Salt::Digest);
        assert!(!pss.signs() && !pss.verifies());
        let ecdsa = Scheme::Ecdsa(Curve::P256, Hash::Sha1);
        assert!(!ecdsa.signs() && ecdsa.verifies());
        assert_eq!(longest_salt(2048, Hash::Sha256), Some(222));
    }
}
