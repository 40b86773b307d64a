//! Query: what the server can do (KMIP 1.4 §4.25).

use crate::{
    attribute::RngParameters,
    tables::{ObjectType, Operation, QueryFunction},
    ttlv::{Enumeration, Structure, record},
};

/// What the Server Information of this project's server has of its client, as custom attributes: tenant and system.
pub const TENANT: &str = "y-Tenant";
pub const SYSTEM: &str = "y-System";

record! {
    pub struct Request {
        many functions: QueryFunction = QUERY_FUNCTION V1_0,
    }
}

record! {
    /// A profile that the server supports (§2.1.19).
    pub struct ProfileInformation<'a> {
        need profile_name: Enumeration = PROFILE_NAME V1_3,
        opt server_uri: &'a str = SERVER_URI V1_3,
        opt server_port: i32 = SERVER_PORT V1_3,
    }
}

record! {
    /// Abilities of the server (§2.1.21).
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct CapabilityInformation {
        opt streaming_capability: bool = STREAMING_CAPABILITY V1_3,
        opt asynchronous_capability: bool = ASYNCHRONOUS_CAPABILITY V1_3,
        opt attestation_capability: bool = ATTESTATION_CAPABILITY V1_3,
        opt batch_undo_capability: bool = BATCH_UNDO_CAPABILITY V1_4,
        opt batch_continue_capability: bool = BATCH_CONTINUE_CAPABILITY V1_4,
        opt unwrap_mode: Enumeration = UNWRAP_MODE V1_3,
        opt destroy_action: Enumeration = DESTROY_ACTION V1_3,
        opt shredding_algorithm: Enumeration = SHREDDING_ALGORITHM V1_3,
        opt rng_mode: Enumeration = RNG_MODE V1_3,
    }
}

record! {
    pub struct Answer<'a> {
        many operations: Operation = OPERATION V1_0,
        many object_types: ObjectType = OBJECT_TYPE V1_0,
        opt vendor_identification: &'a str = VENDOR_IDENTIFICATION V1_0,
        opt server_information: Structure<'a> = SERVER_INFORMATION V1_0,
        many application_namespaces: &'a str = APPLICATION_NAMESPACE V1_0,
        many extension_information: Structure<'a> = EXTENSION_INFORMATION V1_1,
        many attestation_types: Enumeration = ATTESTATION_TYPE V1_2,
        many rng_parameters: RngParameters = RNG_PARAMETERS V1_3,
        many profile_information: ProfileInformation<'a> = PROFILE_INFORMATION V1_3,
        many validation_information: Structure<'a> = VALIDATION_INFORMATION V1_3,
        many capability_information: CapabilityInformation = CAPABILITY_INFORMATION V1_3,
        many client_registration_methods: Enumeration = CLIENT_REGISTRATION_METHOD V1_3,
    }
}

impl Answer<'_> {
    /// The answer of a server that has nothing to say: an empty payload.
    pub fn empty() -> Self {
        Self {
            operations: vec![],
            object_types: vec![],
            vendor_identification: None,
            server_information: None,
            application_namespaces: vec![],
            extension_information: vec![],
            attestation_types: vec![],
            rng_parameters: vec![],
            profile_information: vec![],
            validation_information: vec![],
            capability_information: vec![],
            client_registration_methods: vec![],
        }
    }
}
