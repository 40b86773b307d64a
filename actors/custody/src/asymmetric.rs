//! What RSA and elliptic curve keys have in common: how a half is written down, and the pair that comes of making one.
//!
//! A stored half is DER in one of the [`Form`]s. Each operation parses it anew: nothing of a key outlives its borrow, and the
//! library wipes its copy.

use zeroize::Zeroizing;

/// How a key is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// RSAPrivateKey, RSAPublicKey (RFC 8017 appendix A.1).
    Pkcs1,
    /// ECPrivateKey (RFC 5915, SEC 1 appendix C.4).
    Sec1,
    /// PrivateKeyInfo (RFC 5208).
    Pkcs8,
    /// SubjectPublicKeyInfo (RFC 5280).
    X509,
}

/// A new key pair: of RSA both halves as PKCS#1, of a curve SEC 1 and X.509.
pub struct Pair {
    pub private: Zeroizing<Vec<u8>>,
    pub public: Vec<u8>,
}
