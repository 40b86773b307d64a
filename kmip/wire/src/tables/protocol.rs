//! The enumerations of messages, objects and their attributes (KMIP 1.4 §9.1.3.2).

use super::{ProtocolVersion, enumeration::enums};

enums! {
    /// §9.1.3.2.27, those that a client asks of a server.
    Operation OPERATION {
        Create = 0x1 "Create",
        CreateKeyPair = 0x2 "Create Key Pair",
        Register = 0x3 "Register",
        ReKey = 0x4 "Re-key",
        DeriveKey = 0x5 "Derive Key",
        Certify = 0x6 "Certify",
        ReCertify = 0x7 "Re-certify",
        Locate = 0x8 "Locate",
        Check = 0x9 "Check",
        Get = 0xA "Get",
        GetAttributes = 0xB "Get Attributes",
        GetAttributeList = 0xC "Get Attribute List",
        AddAttribute = 0xD "Add Attribute",
        ModifyAttribute = 0xE "Modify Attribute",
        DeleteAttribute = 0xF "Delete Attribute",
        ObtainLease = 0x10 "Obtain Lease",
        GetUsageAllocation = 0x11 "Get Usage Allocation",
        Activate = 0x12 "Activate",
        Revoke = 0x13 "Revoke",
        Destroy = 0x14 "Destroy",
        Archive = 0x15 "Archive",
        Recover = 0x16 "Recover",
        Validate = 0x17 "Validate",
        Query = 0x18 "Query",
        Cancel = 0x19 "Cancel",
        Poll = 0x1A "Poll",
        ReKeyKeyPair = 0x1D "Re-key Key Pair",
        DiscoverVersions = 0x1E "Discover Versions",
        Encrypt = 0x1F "Encrypt",
        Decrypt = 0x20 "Decrypt",
        Sign = 0x21 "Sign",
        SignatureVerify = 0x22 "Signature Verify",
        Mac = 0x23 "MAC",
        MacVerify = 0x24 "MAC Verify",
        RngRetrieve = 0x25 "RNG Retrieve",
        RngSeed = 0x26 "RNG Seed",
        Hash = 0x27 "Hash",
        CreateSplitKey = 0x28 "Create Split Key",
        JoinSplitKey = 0x29 "Join Split Key",
        Import = 0x2A "Import",
        Export = 0x2B "Export",
    }

    /// §9.1.3.2.28.
    ResultStatus RESULT_STATUS {
        Success = 0x0 "Success",
        OperationFailed = 0x1 "Operation Failed",
        OperationPending = 0x2 "Operation Pending",
        OperationUndone = 0x3 "Operation Undone",
    }

    /// §9.1.3.2.29.
    ResultReason RESULT_REASON {
        ItemNotFound = 0x1 "Item Not Found",
        ResponseTooLarge = 0x2 "Response Too Large",
        AuthenticationNotSuccessful = 0x3 "Authentication Not Successful",
        InvalidMessage = 0x4 "Invalid Message",
        OperationNotSupported = 0x5 "Operation Not Supported",
        MissingData = 0x6 "Missing Data",
        InvalidField = 0x7 "Invalid Field",
        FeatureNotSupported = 0x8 "Feature Not Supported",
        OperationCanceledByRequester = 0x9 "Operation Canceled By Requester",
        CryptographicFailure = 0xA "Cryptographic Failure",
        IllegalOperation = 0xB "Illegal Operation",
        PermissionDenied = 0xC "Permission Denied",
        ObjectArchived = 0xD "Object Archived",
        IndexOutOfBounds = 0xE "Index Out of Bounds",
        ApplicationNamespaceNotSupported = 0xF "Application Namespace Not Supported",
        KeyFormatTypeNotSupported = 0x10 "Key Format Type Not Supported",
        KeyCompressionTypeNotSupported = 0x11 "Key Compression Type Not Supported",
        EncodingOptionError = 0x12 "Encoding Option Error",
        KeyValueNotPresent = 0x13 "Key Value Not Present",
        AttestationRequired = 0x14 "Attestation Required",
        AttestationFailed = 0x15 "Attestation Failed",
        Sensitive = 0x16 "Sensitive",
        NotExtractable = 0x17 "Not Extractable",
        ObjectAlreadyExists = 0x18 "Object Already Exists",
        GeneralFailure = 0x100 "General Failure",
    }

    /// §9.1.3.2.30.
    BatchErrorContinuation BATCH_ERROR_CONTINUATION_OPTION {
        Continue = 0x1 "Continue",
        Stop = 0x2 "Stop",
        Undo = 0x3 "Undo",
    }

    /// §9.1.3.2.24.
    QueryFunction QUERY_FUNCTION {
        QueryOperations = 0x1 "Query Operations",
        QueryObjects = 0x2 "Query Objects",
        QueryServerInformation = 0x3 "Query Server Information",
        QueryApplicationNamespaces = 0x4 "Query Application Namespaces",
        QueryExtensionList = 0x5 "Query Extension List",
        QueryExtensionMap = 0x6 "Query Extension Map",
        QueryAttestationTypes = 0x7 "Query Attestation Types",
        QueryRngs = 0x8 "Query RNGs",
        QueryValidations = 0x9 "Query Validations",
        QueryProfiles = 0xA "Query Profiles",
        QueryCapabilities = 0xB "Query Capabilities",
        QueryClientRegistrationMethods = 0xC "Query Client Registration Methods",
    }

    /// §9.1.3.2.12.
    ObjectType OBJECT_TYPE {
        Certificate = 0x1 "Certificate",
        SymmetricKey = 0x2 "Symmetric Key",
        PublicKey = 0x3 "Public Key",
        PrivateKey = 0x4 "Private Key",
        SplitKey = 0x5 "Split Key",
        Template = 0x6 "Template",
        SecretData = 0x7 "Secret Data",
        OpaqueObject = 0x8 "Opaque Object",
        PgpKey = 0x9 "PGP Key",
    }

    /// §9.1.3.2.9.
    SecretDataType SECRET_DATA_TYPE {
        Password = 0x1 "Password",
        Seed = 0x2 "Seed",
    }

    /// §9.1.3.2.18.
    State STATE {
        PreActive = 0x1 "Pre-Active",
        Active = 0x2 "Active",
        Deactivated = 0x3 "Deactivated",
        Compromised = 0x4 "Compromised",
        Destroyed = 0x5 "Destroyed",
        DestroyedCompromised = 0x6 "Destroyed Compromised",
    }

    /// §9.1.3.2.19.
    RevocationReasonCode REVOCATION_REASON_CODE {
        Unspecified = 0x1 "Unspecified",
        KeyCompromise = 0x2 "Key Compromise",
        CaCompromise = 0x3 "CA Compromise",
        AffiliationChanged = 0x4 "Affiliation Changed",
        Superseded = 0x5 "Superseded",
        CessationOfOperation = 0x6 "Cessation of Operation",
        PrivilegeWithdrawn = 0x7 "Privilege Withdrawn",
    }

    /// §9.1.3.2.11.
    NameType NAME_TYPE {
        UninterpretedTextString = 0x1 "Uninterpreted Text String",
        Uri = 0x2 "URI",
    }

    /// §9.1.3.2.34.
    AlternativeNameType ALTERNATIVE_NAME_TYPE {
        UninterpretedTextString = 0x1 "Uninterpreted Text String",
        Uri = 0x2 "URI",
        ObjectSerialNumber = 0x3 "Object Serial Number",
        EmailAddress = 0x4 "Email Address",
        DnsName = 0x5 "DNS Name",
        X500DistinguishedName = 0x6 "X.500 Distinguished Name",
        IpAddress = 0x7 "IP Address",
    }

    /// §9.1.3.2.20.
    LinkType LINK_TYPE {
        CertificateLink = 0x101 "Certificate Link",
        PublicKeyLink = 0x102 "Public Key Link",
        PrivateKeyLink = 0x103 "Private Key Link",
        DerivationBaseObjectLink = 0x104 "Derivation Base Object Link",
        DerivedKeyLink = 0x105 "Derived Key Link",
        ReplacementObjectLink = 0x106 "Replacement Object Link",
        ReplacedObjectLink = 0x107 "Replaced Object Link",
        ParentLink = 0x108 "Parent Link",
        ChildLink = 0x109 "Child Link",
        PreviousLink = 0x10A "Previous Link",
        NextLink = 0x10B "Next Link",
        Pkcs12CertificateLink = 0x10C "PKCS#12 Certificate Link",
        Pkcs12PasswordLink = 0x10D "PKCS#12 Password Link",
    }

    /// §9.1.3.2.33.
    ObjectGroupMember OBJECT_GROUP_MEMBER {
        GroupMemberFresh = 0x1 "Group Member Fresh",
        GroupMemberDefault = 0x2 "Group Member Default",
    }

    /// §9.1.3.2.1.
    CredentialType CREDENTIAL_TYPE {
        UsernameAndPassword = 0x1 "Username and Password",
        Device = 0x2 "Device",
        Attestation = 0x3 "Attestation",
    }

    /// §9.1.3.2.6.
    CertificateType CERTIFICATE_TYPE {
        X509 = 0x1 "X.509",
        Pgp = 0x2 "PGP",
    }

    /// §9.1.3.2.22.
    CertificateRequestType CERTIFICATE_REQUEST_TYPE {
        Crmf = 0x1 "CRMF",
        Pkcs10 = 0x2 "PKCS#10",
        Pem = 0x3 "PEM",
        Pgp = 0x4 "PGP",
    }

    /// §9.1.3.2.23.
    ValidityIndicator VALIDITY_INDICATOR {
        Valid = 0x1 "Valid",
        Invalid = 0x2 "Invalid",
        Unknown = 0x3 "Unknown",
    }

    /// §9.1.3.2.25.
    CancellationResult CANCELLATION_RESULT {
        Canceled = 0x1 "Canceled",
        UnableToCancel = 0x2 "Unable to Cancel",
        Completed = 0x3 "Completed",
        Failed = 0x4 "Failed",
        Unavailable = 0x5 "Unavailable",
    }

    /// §9.1.3.2.26.
    PutFunction PUT_FUNCTION {
        New = 0x1 "New",
        Replace = 0x2 "Replace",
    }

    /// §9.1.3.2.31.
    UsageLimitsUnit USAGE_LIMITS_UNIT {
        Byte = 0x1 "Byte",
        Object = 0x2 "Object",
    }

    /// §9.1.3.2.35.
    KeyValueLocationType KEY_VALUE_LOCATION_TYPE {
        UninterpretedTextString = 0x1 "Uninterpreted Text String",
        Uri = 0x2 "URI",
    }

    /// §9.1.3.2.36.
    AttestationType ATTESTATION_TYPE {
        TpmQuote = 0x1 "TPM Quote",
        TcgIntegrityReport = 0x2 "TCG Integrity Report",
        SamlAssertion = 0x3 "SAML Assertion",
    }
}

impl Operation {
    /// The version of KMIP that brought the operation; older messages cannot ask for it.
    pub const fn since(self) -> ProtocolVersion {
        match self {
            Self::ReKeyKeyPair | Self::DiscoverVersions => ProtocolVersion::V1_1,
            Self::Encrypt
            | Self::Decrypt
            | Self::Sign
            | Self::SignatureVerify
            | Self::Mac
            | Self::MacVerify
            | Self::RngRetrieve
            | Self::RngSeed
            | Self::Hash
            | Self::CreateSplitKey
            | Self::JoinSplitKey => ProtocolVersion::V1_2,
            Self::Import | Self::Export => ProtocolVersion::V1_4,
            _ => ProtocolVersion::V1_0,
        }
    }
}

impl QueryFunction {
    /// The version of KMIP that brought the function.
    pub const fn since(self) -> ProtocolVersion {
        match self {
            Self::QueryOperations
            | Self::QueryObjects
            | Self::QueryServerInformation
            | Self::QueryApplicationNamespaces => ProtocolVersion::V1_0,
            Self::QueryExtensionList | Self::QueryExtensionMap => ProtocolVersion::V1_1,
            Self::QueryAttestationTypes => ProtocolVersion::V1_2,
            Self::QueryRngs
            | Self::QueryValidations
            | Self::QueryProfiles
            | Self::QueryCapabilities
            | Self::QueryClientRegistrationMethods => ProtocolVersion::V1_3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back_and_undefined_ones_do_not() {
        for &operation in Operation::ALL {
            assert_eq!(Operation::from_code(operation.code()), Some(operation));
        }
        assert_eq!(Operation::Encrypt.code(), 0x1F);
        assert_eq!(ResultReason::GeneralFailure.code(), 0x100);
        assert_eq!(Operation::from_code(0x1B), None, "Notify is asked of a client");
        assert_eq!(ResultReason::from_code(0x19), None);
    }
}
