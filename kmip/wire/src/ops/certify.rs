//! Certify: a certificate for a public key (KMIP 1.4 §4.7).

use crate::{attribute::TemplateAttribute, tables::CertificateRequestType, ttlv::record};

record! {
    pub struct Request<'a> {
        /// Of the public key.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// Needed if there is a Certificate Request.
        opt certificate_request_type: CertificateRequestType = CERTIFICATE_REQUEST_TYPE V1_0,
        opt certificate_request: &'a [u8] = CERTIFICATE_REQUEST V1_0,
        opt template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_0,
    }
}

record! {
    pub struct Answer<'a> {
        /// Of the certificate.
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// The attributes that the server set without being asked.
        opt template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_0,
    }
}
