//! kmip-server
