//! Validate: whether a chain of certificates is valid (KMIP 1.4 §4.24).

use crate::{
    certificate::Certificate,
    tables::ValidityIndicator,
    ttlv::{DateTime, record},
};

record! {
    pub struct Request<'a> {
        many certificates: Certificate = CERTIFICATE V1_0,
        many unique_identifiers: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// Absent: now.
        opt validity_date: DateTime = VALIDITY_DATE V1_0,
    }
}

record! {
    pub struct Answer {
        need validity_indicator: ValidityIndicator = VALIDITY_INDICATOR V1_0,
    }
}
