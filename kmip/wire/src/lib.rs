//! kmip
