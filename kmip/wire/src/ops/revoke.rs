//! Revoke: Active to Deactivated, or anything to Compromised (KMIP 1.4 §4.20). This is not the tenant's kill switch.

use crate::{
    attribute::RevocationReason,
    ttlv::{DateTime, record},
};

record! {
    pub struct Request<'a> {
        /// Absent: the ID Placeholder.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        need revocation_reason: RevocationReason = REVOCATION_REASON V1_0,
        opt compromise_occurrence_date: DateTime = COMPROMISE_OCCURRENCE_DATE V1_0,
    }
}

record! {
    pub struct Answer<'a> {
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
    }
}
