//! Re-certify: another certificate for the key of one that exists (KMIP 1.4 §4.8).

use crate::{
    attribute::TemplateAttribute,
    tables::CertificateRequestType,
    ttlv::{Interval, record},
};

record! {
    pub struct Request<'a> {
        /// Of the certificate that is replaced.
        opt unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// Needed if there is a Certificate Request.
        opt certificate_request_type: CertificateRequestType = CERTIFICATE_REQUEST_TYPE V1_0,
        opt certificate_request: &'a [u8] = CERTIFICATE_REQUEST V1_0,
        /// From the new certificate's Initial Date to its Activation Date.
        opt offset: Interval = OFFSET V1_0,
        opt template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_0,
    }
}

record! {
    pub struct Answer<'a> {
        /// Of the new certificate.
        need unique_identifier: &'a str = UNIQUE_IDENTIFIER V1_0,
        /// The attributes that the server set without being asked.
        opt template_attribute: TemplateAttribute = TEMPLATE_ATTRIBUTE V1_0,
    }
}
