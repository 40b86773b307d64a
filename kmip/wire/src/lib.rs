//! KMIP 1.0 to 1.4 on the wire: bytes to requests, answers to bytes, and back for a client.
//!
//! The crate decodes a message in place ([`ttlv`]), knows the specification's tables ([`tables`]), has one file for each operation
//! ([`ops`]) and the frame around them ([`message`]). [`client`] is the other side of the same shapes, [`markup`] the same messages
//! as XML and JSON. It does no I/O, holds no state, and trusts nobody: every length, depth and count is checked against a named limit
//! before anything is allocated.
//! Key material is a type of its own ([`KeyMaterial`]) that is wiped when dropped and cannot be printed.

pub mod client;
pub mod markup;
pub mod message;
pub mod ops;
pub mod tables;
pub mod transparent;
pub mod ttlv;

mod attribute;
mod certificate;
mod cryptographic_parameters;
mod error;
mod object;
mod sought;
mod wrapping;

pub use attribute::{
    AlternativeName, ApplicationSpecificInformation, Attribute, AttributeValue, CryptographicDomainParameters, Digest,
    KeyValueLocation, Link, Name, RevocationReason, RngParameters, TemplateAttribute, UsageLimits,
};
pub use certificate::{
    Certificate, CertificateIdentifier, CertificateIssuer, CertificateSubject, X509CertificateIdentifier,
    X509CertificateIssuer, X509CertificateSubject,
};
pub use cryptographic_parameters::CryptographicParameters;
pub use error::WireError;
pub use object::{
    Brought, KeyBlock, KeyMaterial, ManagedObject, OpaqueObject, PrivateKey, PublicKey, SecretData, SplitKey,
    SymmetricKey,
};
pub use sought::{Fields, Sought};
pub use tables::{Operation, ProtocolVersion, ResultReason, ResultStatus, State, Tag};
pub use wrapping::{KeyInformation, KeyWrappingData, KeyWrappingSpecification};
