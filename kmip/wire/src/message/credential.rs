//! Credentials in a request's header (KMIP 1.4 §2.1.2, §6.6): read, so that a malformed one is refused, and not used.
//!
//! The certificate of the connection alone says who calls. A name and password, a device or an attestation beside it narrows nothing and
//! opens nothing; no operation here needs an attestation.

use crate::{
    error::WireError,
    tables::{CredentialType, ProtocolVersion, Tag},
    ttlv::{Enumeration, Structure, record},
};

record! {
    /// Table 266.
    pub(super) struct Authentication<'a> {
        many credentials: Credential<'a> = CREDENTIAL V1_0,
    }
}

record! {
    /// Table 3.
    pub(super) struct Credential<'a> {
        need credential_type: CredentialType = CREDENTIAL_TYPE V1_0,
        need credential_value: Structure<'a> = CREDENTIAL_VALUE V1_0,
    }
}

record! {
    /// Table 4.
    struct Password<'a> {
        need username: &'a str = USERNAME V1_0,
        opt password: &'a str = PASSWORD V1_0,
    }
}

record! {
    /// Table 5.
    struct Device<'a> {
        opt device_serial_number: &'a str = DEVICE_SERIAL_NUMBER V1_0,
        opt password: &'a str = PASSWORD V1_0,
        opt device_identifier: &'a str = DEVICE_IDENTIFIER V1_0,
        opt network_identifier: &'a str = NETWORK_IDENTIFIER V1_0,
        opt machine_identifier: &'a str = MACHINE_IDENTIFIER V1_0,
        opt media_identifier: &'a str = MEDIA_IDENTIFIER V1_0,
    }
}

record! {
    /// Table 6.
    struct Attestation<'a> {
        need nonce: Structure<'a> = NONCE V1_2,
        need attestation_type: Enumeration = ATTESTATION_TYPE V1_2,
        opt attestation_measurement: &'a [u8] = ATTESTATION_MEASUREMENT V1_2,
        opt attestation_assertion: &'a [u8] = ATTESTATION_ASSERTION V1_2,
    }
}

impl Authentication<'_> {
    /// Each credential is whole: it has the fields of its type.
    pub(super) fn check(&self, version: ProtocolVersion) -> Result<(), WireError> {
        if self.credentials.is_empty() {
            return Err(WireError::Missing { structure: Tag::AUTHENTICATION, field: Tag::CREDENTIAL });
        }
        self.credentials.iter().try_for_each(|credential| credential.check(version))
    }
}

impl Credential<'_> {
    fn check(&self, version: ProtocolVersion) -> Result<(), WireError> {
        use crate::ttlv::Record;
        let value = self.credential_value;
        let whole = match self.credential_type {
            CredentialType::UsernameAndPassword => Password::read_fields(value, version).map(|_| true)?,
            CredentialType::Device => {
                let device = Device::read_fields(value, version)?;
                let fields = [
                    device.device_serial_number,
                    device.password,
                    device.device_identifier,
                    device.network_identifier,
                    device.machine_identifier,
                    device.media_identifier,
                ];
                fields.iter().any(Option::is_some)
            }
            CredentialType::Attestation => {
                let attestation = Attestation::read_fields(value, version)?;
                attestation.attestation_measurement.or(attestation.attestation_assertion).is_some()
            }
        };
        let field = match self.credential_type {
            CredentialType::Attestation => Tag::ATTESTATION_MEASUREMENT,
            _ => Tag::DEVICE_SERIAL_NUMBER,
        };
        if whole { Ok(()) } else { Err(WireError::Missing { structure: Tag::CREDENTIAL_VALUE, field }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::{RequestHeader, RequestMessage, RequestWriter},
        ops::{self, Request},
        tables::{QueryFunction, ResultReason},
        ttlv::{Limits, Writer, parse},
    };

    /// Why a request with this Authentication is refused, if it is.
    fn refused(authentication: impl FnOnce(&mut Writer<'_>)) -> Option<ResultReason> {
        let mut own = vec![];
        Writer::new(&mut own, ProtocolVersion::V1_4).structure(Tag::AUTHENTICATION, authentication);
        let structure = parse(&own, &Limits::REQUEST).unwrap();
        let header = RequestHeader { authentication: Some(structure), ..RequestHeader::of(ProtocolVersion::V1_4) };
        let mut frame = vec![];
        let mut writer = RequestWriter::begin(&mut frame, &header);
        writer.item(None, &Request::Query(ops::query::Request { functions: vec![QueryFunction::QueryOperations] }));
        writer.finish();
        RequestMessage::read(&frame, &Limits::REQUEST).err().map(|refused| refused.error.reason())
    }

    fn credential(writer: &mut Writer<'_>, code: u32, value: impl FnOnce(&mut Writer<'_>)) {
        writer.structure(Tag::CREDENTIAL, |writer| {
            writer.enumeration(Tag::CREDENTIAL_TYPE, code);
            writer.structure(Tag::CREDENTIAL_VALUE, value);
        });
    }

    fn nonce(writer: &mut Writer<'_>) {
        writer.structure(Tag::NONCE, |writer| writer.bytes(Tag::NONCE_ID, &[1]));
        writer.enumeration(Tag::ATTESTATION_TYPE, 1);
    }

    #[test]
    fn whole_credentials_are_taken() {
        let all = |writer: &mut Writer<'_>| {
            credential(writer, 1, |writer| writer.text(Tag::USERNAME, "Fred"));
            credential(writer, 2, |writer| writer.text(Tag::MACHINE_IDENTIFIER, "1"));
            credential(writer, 3, |writer| {
                nonce(writer);
                writer.bytes(Tag::ATTESTATION_ASSERTION, &[1]);
            });
        };
        assert_eq!(refused(all), None);
    }

    #[test]
    fn malformed_credentials_refuse_the_message() {
        let invalid = Some(ResultReason::InvalidMessage);
        assert_eq!(refused(|_| {}), invalid);
        assert_eq!(refused(|writer| credential(writer, 1, |writer| writer.text(Tag::PASSWORD, "x"))), invalid);
        assert_eq!(refused(|writer| credential(writer, 2, |_| {})), invalid);
        assert_eq!(refused(|writer| credential(writer, 3, nonce)), invalid);
        let unknown = Some(ResultReason::InvalidField);
        assert_eq!(refused(|writer| credential(writer, 9, |writer| writer.text(Tag::USERNAME, "Fred"))), unknown);
        assert_eq!(
            refused(|writer| credential(writer, 1, |writer| writer.text(Tag::MACHINE_IDENTIFIER, "1"))),
            unknown
        );
    }
}
