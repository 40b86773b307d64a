//! What a server says of itself: capabilities, random number generators, validations and profiles (KMIP 1.4 §9.1.3.2).

use super::enumeration::enums;

enums! {
    /// §9.1.3.2.43.
    UnwrapMode UNWRAP_MODE {
        Unspecified = 0x1 "Unspecified",
        Processed = 0x2 "Processed",
        NotProcessed = 0x3 "Not Processed",
    }

    /// §9.1.3.2.44.
    DestroyAction DESTROY_ACTION {
        Unspecified = 0x1 "Unspecified",
        KeyMaterialDeleted = 0x2 "Key Material Deleted",
        KeyMaterialShredded = 0x3 "Key Material Shredded",
        MetaDataDeleted = 0x4 "Meta Data Deleted",
        MetaDataShredded = 0x5 "Meta Data Shredded",
        Deleted = 0x6 "Deleted",
        Shredded = 0x7 "Shredded",
    }

    /// §9.1.3.2.45.
    ShreddingAlgorithm SHREDDING_ALGORITHM {
        Unspecified = 0x1 "Unspecified",
        Cryptographic = 0x2 "Cryptographic",
        Unsupported = 0x3 "Unsupported",
    }

    /// §9.1.3.2.47.
    ClientRegistrationMethod CLIENT_REGISTRATION_METHOD {
        Unspecified = 0x1 "Unspecified",
        ServerPreGenerated = 0x2 "Server Pre-Generated",
        ServerOnDemand = 0x3 "Server On-Demand",
        ClientGenerated = 0x4 "Client Generated",
        ClientRegistered = 0x5 "Client Registered",
    }

    /// §9.1.3.2.48.
    KeyWrapType KEY_WRAP_TYPE {
        NotWrapped = 0x1 "Not Wrapped",
        AsRegistered = 0x2 "As Registered",
    }

    /// §9.1.3.2.46.
    RngMode RNG_MODE {
        Unspecified = 0x1 "Unspecified",
        SharedInstantiation = 0x2 "Shared Instantiation",
        NonSharedInstantiation = 0x3 "Non-Shared Instantiation",
    }

    /// §9.1.3.2.37.
    RngAlgorithm RNG_ALGORITHM {
        Unspecified = 0x1 "Unspecified",
        Fips1862 = 0x2 "FIPS 186-2",
        Drbg = 0x3 "DRBG",
        Nrbg = 0x4 "NRBG",
        AnsiX931 = 0x5 "ANSI X9.31",
        AnsiX962 = 0x6 "ANSI X9.62",
    }

    /// §9.1.3.2.38.
    DrbgAlgorithm DRBG_ALGORITHM {
        Unspecified = 0x1 "Unspecified",
        DualEc = 0x2 "Dual-EC",
        Hash = 0x3 "Hash",
        Hmac = 0x4 "HMAC",
        Ctr = 0x5 "CTR",
    }

    /// §9.1.3.2.39.
    Fips186Variation FIPS186_VARIATION {
        Unspecified = 0x1 "Unspecified",
        GpXOriginal = 0x2 "GP x-Original",
        GpXChangeNotice = 0x3 "GP x-Change Notice",
        XOriginal = 0x4 "x-Original",
        XChangeNotice = 0x5 "x-Change Notice",
        KOriginal = 0x6 "k-Original",
        KChangeNotice = 0x7 "k-Change Notice",
    }

    /// §9.1.3.2.40.
    ValidationAuthorityType VALIDATION_AUTHORITY_TYPE {
        Unspecified = 0x1 "Unspecified",
        NistCmvp = 0x2 "NIST CMVP",
        CommonCriteria = 0x3 "Common Criteria",
    }

    /// §9.1.3.2.41.
    ValidationType VALIDATION_TYPE {
        Unspecified = 0x1 "Unspecified",
        Hardware = 0x2 "Hardware",
        Software = 0x3 "Software",
        Firmware = 0x4 "Firmware",
        Hybrid = 0x5 "Hybrid",
    }

    /// §9.1.3.2.42.
    ProfileName PROFILE_NAME {
        BaselineServerBasicKmipV12 = 0x1 "Baseline Server Basic KMIP v1.2",
        BaselineServerTlsV12KmipV12 = 0x2 "Baseline Server TLS v1.2 KMIP v1.2",
        BaselineClientBasicKmipV12 = 0x3 "Baseline Client Basic KMIP v1.2",
        BaselineClientTlsV12KmipV12 = 0x4 "Baseline Client TLS v1.2 KMIP v1.2",
        CompleteServerBasicKmipV12 = 0x5 "Complete Server Basic KMIP v1.2",
        CompleteServerTlsV12KmipV12 = 0x6 "Complete Server TLS v1.2 KMIP v1.2",
        TapeLibraryClientKmipV10 = 0x7 "Tape Library Client KMIP v1.0",
        TapeLibraryClientKmipV11 = 0x8 "Tape Library Client KMIP v1.1",
        TapeLibraryClientKmipV12 = 0x9 "Tape Library Client KMIP v1.2",
        TapeLibraryServerKmipV10 = 0xA "Tape Library Server KMIP v1.0",
        TapeLibraryServerKmipV11 = 0xB "Tape Library Server KMIP v1.1",
        TapeLibraryServerKmipV12 = 0xC "Tape Library Server KMIP v1.2",
        SymmetricKeyLifecycleClientKmipV10 = 0xD "Symmetric Key Lifecycle Client KMIP v1.0",
        SymmetricKeyLifecycleClientKmipV11 = 0xE "Symmetric Key Lifecycle Client KMIP v1.1",
        SymmetricKeyLifecycleClientKmipV12 = 0xF "Symmetric Key Lifecycle Client KMIP v1.2",
        SymmetricKeyLifecycleServerKmipV10 = 0x10 "Symmetric Key Lifecycle Server KMIP v1.0",
        SymmetricKeyLifecycleServerKmipV11 = 0x11 "Symmetric Key Lifecycle Server KMIP v1.1",
        SymmetricKeyLifecycleServerKmipV12 = 0x12 "Symmetric Key Lifecycle Server KMIP v1.2",
        AsymmetricKeyLifecycleClientKmipV10 = 0x13 "Asymmetric Key Lifecycle Client KMIP v1.0",
        AsymmetricKeyLifecycleClientKmipV11 = 0x14 "Asymmetric Key Lifecycle Client KMIP v1.1",
        AsymmetricKeyLifecycleClientKmipV12 = 0x15 "Asymmetric Key Lifecycle Client KMIP v1.2",
        AsymmetricKeyLifecycleServerKmipV10 = 0x16 "Asymmetric Key Lifecycle Server KMIP v1.0",
        AsymmetricKeyLifecycleServerKmipV11 = 0x17 "Asymmetric Key Lifecycle Server KMIP v1.1",
        AsymmetricKeyLifecycleServerKmipV12 = 0x18 "Asymmetric Key Lifecycle Server KMIP v1.2",
        BasicCryptographicClientKmipV12 = 0x19 "Basic Cryptographic Client KMIP v1.2",
        BasicCryptographicServerKmipV12 = 0x1A "Basic Cryptographic Server KMIP v1.2",
        AdvancedCryptographicClientKmipV12 = 0x1B "Advanced Cryptographic Client KMIP v1.2",
        AdvancedCryptographicServerKmipV12 = 0x1C "Advanced Cryptographic Server KMIP v1.2",
        RngCryptographicClientKmipV12 = 0x1D "RNG Cryptographic Client KMIP v1.2",
        RngCryptographicServerKmipV12 = 0x1E "RNG Cryptographic Server KMIP v1.2",
        BasicSymmetricKeyFoundryClientKmipV10 = 0x1F "Basic Symmetric Key Foundry Client KMIP v1.0",
        IntermediateSymmetricKeyFoundryClientKmipV10 = 0x20 "Intermediate Symmetric Key Foundry Client KMIP v1.0",
        AdvancedSymmetricKeyFoundryClientKmipV10 = 0x21 "Advanced Symmetric Key Foundry Client KMIP v1.0",
        BasicSymmetricKeyFoundryClientKmipV11 = 0x22 "Basic Symmetric Key Foundry Client KMIP v1.1",
        IntermediateSymmetricKeyFoundryClientKmipV11 = 0x23 "Intermediate Symmetric Key Foundry Client KMIP v1.1",
        AdvancedSymmetricKeyFoundryClientKmipV11 = 0x24 "Advanced Symmetric Key Foundry Client KMIP v1.1",
        BasicSymmetricKeyFoundryClientKmipV12 = 0x25 "Basic Symmetric Key Foundry Client KMIP v1.2",
        IntermediateSymmetricKeyFoundryClientKmipV12 = 0x26 "Intermediate Symmetric Key Foundry Client KMIP v1.2",
        AdvancedSymmetricKeyFoundryClientKmipV12 = 0x27 "Advanced Symmetric Key Foundry Client KMIP v1.2",
        SymmetricKeyFoundryServerKmipV10 = 0x28 "Symmetric Key Foundry Server KMIP v1.0",
        SymmetricKeyFoundryServerKmipV11 = 0x29 "Symmetric Key Foundry Server KMIP v1.1",
        SymmetricKeyFoundryServerKmipV12 = 0x2A "Symmetric Key Foundry Server KMIP v1.2",
        OpaqueManagedObjectStoreClientKmipV10 = 0x2B "Opaque Managed Object Store Client KMIP v1.0",
        OpaqueManagedObjectStoreClientKmipV11 = 0x2C "Opaque Managed Object Store Client KMIP v1.1",
        OpaqueManagedObjectStoreClientKmipV12 = 0x2D "Opaque Managed Object Store Client KMIP v1.2",
        OpaqueManagedObjectStoreServerKmipV10 = 0x2E "Opaque Managed Object Store Server KMIP v1.0",
        OpaqueManagedObjectStoreServerKmipV11 = 0x2F "Opaque Managed Object Store Server KMIP v1.1",
        OpaqueManagedObjectStoreServerKmipV12 = 0x30 "Opaque Managed Object Store Server KMIP v1.2",
        SuiteBMinLos128ClientKmipV10 = 0x31 "Suite B minLOS_128 Client KMIP v1.0",
        SuiteBMinLos128ClientKmipV11 = 0x32 "Suite B minLOS_128 Client KMIP v1.1",
        SuiteBMinLos128ClientKmipV12 = 0x33 "Suite B minLOS_128 Client KMIP v1.2",
        SuiteBMinLos128ServerKmipV10 = 0x34 "Suite B minLOS_128 Server KMIP v1.0",
        SuiteBMinLos128ServerKmipV11 = 0x35 "Suite B minLOS_128 Server KMIP v1.1",
        SuiteBMinLos128ServerKmipV12 = 0x36 "Suite B minLOS_128 Server KMIP v1.2",
        SuiteBMinLos192ClientKmipV10 = 0x37 "Suite B minLOS_192 Client KMIP v1.0",
        SuiteBMinLos192ClientKmipV11 = 0x38 "Suite B minLOS_192 Client KMIP v1.1",
        SuiteBMinLos192ClientKmipV12 = 0x39 "Suite B minLOS_192 Client KMIP v1.2",
        SuiteBMinLos192ServerKmipV10 = 0x3A "Suite B minLOS_192 Server KMIP v1.0",
        SuiteBMinLos192ServerKmipV11 = 0x3B "Suite B minLOS_192 Server KMIP v1.1",
        SuiteBMinLos192ServerKmipV12 = 0x3C "Suite B minLOS_192 Server KMIP v1.2",
        StorageArrayWithSelfEncryptingDriveClientKmipV10 = 0x3D "Storage Array with Self Encrypting Drive Client KMIP v1.0",
        StorageArrayWithSelfEncryptingDriveClientKmipV11 = 0x3E "Storage Array with Self Encrypting Drive Client KMIP v1.1",
        StorageArrayWithSelfEncryptingDriveClientKmipV12 = 0x3F "Storage Array with Self Encrypting Drive Client KMIP v1.2",
        StorageArrayWithSelfEncryptingDriveServerKmipV10 = 0x40 "Storage Array with Self Encrypting Drive Server KMIP v1.0",
        StorageArrayWithSelfEncryptingDriveServerKmipV11 = 0x41 "Storage Array with Self Encrypting Drive Server KMIP v1.1",
        StorageArrayWithSelfEncryptingDriveServerKmipV12 = 0x42 "Storage Array with Self Encrypting Drive Server KMIP v1.2",
        HttpsClientKmipV10 = 0x43 "HTTPS Client KMIP v1.0",
        HttpsClientKmipV11 = 0x44 "HTTPS Client KMIP v1.1",
        HttpsClientKmipV12 = 0x45 "HTTPS Client KMIP v1.2",
        HttpsServerKmipV10 = 0x46 "HTTPS Server KMIP v1.0",
        HttpsServerKmipV11 = 0x47 "HTTPS Server KMIP v1.1",
        HttpsServerKmipV12 = 0x48 "HTTPS Server KMIP v1.2",
        JsonClientKmipV10 = 0x49 "JSON Client KMIP v1.0",
        JsonClientKmipV11 = 0x4A "JSON Client KMIP v1.1",
        JsonClientKmipV12 = 0x4B "JSON Client KMIP v1.2",
        JsonServerKmipV10 = 0x4C "JSON Server KMIP v1.0",
        JsonServerKmipV11 = 0x4D "JSON Server KMIP v1.1",
        JsonServerKmipV12 = 0x4E "JSON Server KMIP v1.2",
        XmlClientKmipV10 = 0x4F "XML Client KMIP v1.0",
        XmlClientKmipV11 = 0x50 "XML Client KMIP v1.1",
        XmlClientKmipV12 = 0x51 "XML Client KMIP v1.2",
        XmlServerKmipV10 = 0x52 "XML Server KMIP v1.0",
        XmlServerKmipV11 = 0x53 "XML Server KMIP v1.1",
        XmlServerKmipV12 = 0x54 "XML Server KMIP v1.2",
        BaselineServerBasicKmipV13 = 0x55 "Baseline Server Basic KMIP v1.3",
        BaselineServerTlsV12KmipV13 = 0x56 "Baseline Server TLS v1.2 KMIP v1.3",
        BaselineClientBasicKmipV13 = 0x57 "Baseline Client Basic KMIP v1.3",
        BaselineClientTlsV12KmipV13 = 0x58 "Baseline Client TLS v1.2 KMIP v1.3",
        CompleteServerBasicKmipV13 = 0x59 "Complete Server Basic KMIP v1.3",
        CompleteServerTlsV12KmipV13 = 0x5A "Complete Server TLS v1.2 KMIP v1.3",
        TapeLibraryClientKmipV13 = 0x5B "Tape Library Client KMIP v1.3",
        TapeLibraryServerKmipV13 = 0x5C "Tape Library Server KMIP v1.3",
        SymmetricKeyLifecycleClientKmipV13 = 0x5D "Symmetric Key Lifecycle Client KMIP v1.3",
        SymmetricKeyLifecycleServerKmipV13 = 0x5E "Symmetric Key Lifecycle Server KMIP v1.3",
        AsymmetricKeyLifecycleClientKmipV13 = 0x5F "Asymmetric Key Lifecycle Client KMIP v1.3",
        AsymmetricKeyLifecycleServerKmipV13 = 0x60 "Asymmetric Key Lifecycle Server KMIP v1.3",
        BasicCryptographicClientKmipV13 = 0x61 "Basic Cryptographic Client KMIP v1.3",
        BasicCryptographicServerKmipV13 = 0x62 "Basic Cryptographic Server KMIP v1.3",
        AdvancedCryptographicClientKmipV13 = 0x63 "Advanced Cryptographic Client KMIP v1.3",
        AdvancedCryptographicServerKmipV13 = 0x64 "Advanced Cryptographic Server KMIP v1.3",
        RngCryptographicClientKmipV13 = 0x65 "RNG Cryptographic Client KMIP v1.3",
        RngCryptographicServerKmipV13 = 0x66 "RNG Cryptographic Server KMIP v1.3",
        BasicSymmetricKeyFoundryClientKmipV13 = 0x67 "Basic Symmetric Key Foundry Client KMIP v1.3",
        IntermediateSymmetricKeyFoundryClientKmipV13 = 0x68 "Intermediate Symmetric Key Foundry Client KMIP v1.3",
        AdvancedSymmetricKeyFoundryClientKmipV13 = 0x69 "Advanced Symmetric Key Foundry Client KMIP v1.3",
        SymmetricKeyFoundryServerKmipV13 = 0x6A "Symmetric Key Foundry Server KMIP v1.3",
        OpaqueManagedObjectStoreClientKmipV13 = 0x6B "Opaque Managed Object Store Client KMIP v1.3",
        OpaqueManagedObjectStoreServerKmipV13 = 0x6C "Opaque Managed Object Store Server KMIP v1.3",
        SuiteBMinLos128ClientKmipV13 = 0x6D "Suite B minLOS_128 Client KMIP v1.3",
        SuiteBMinLos128ServerKmipV13 = 0x6E "Suite B minLOS_128 Server KMIP v1.3",
        SuiteBMinLos192ClientKmipV13 = 0x6F "Suite B minLOS_192 Client KMIP v1.3",
        SuiteBMinLos192ServerKmipV13 = 0x70 "Suite B minLOS_192 Server KMIP v1.3",
        StorageArrayWithSelfEncryptingDriveClientKmipV13 = 0x71 "Storage Array with Self Encrypting Drive Client KMIP v1.3",
        StorageArrayWithSelfEncryptingDriveServerKmipV13 = 0x72 "Storage Array with Self Encrypting Drive Server KMIP v1.3",
        HttpsClientKmipV13 = 0x73 "HTTPS Client KMIP v1.3",
        HttpsServerKmipV13 = 0x74 "HTTPS Server KMIP v1.3",
        JsonClientKmipV13 = 0x75 "JSON Client KMIP v1.3",
        JsonServerKmipV13 = 0x76 "JSON Server KMIP v1.3",
        XmlClientKmipV13 = 0x77 "XML Client KMIP v1.3",
        XmlServerKmipV13 = 0x78 "XML Server KMIP v1.3",
        BaselineServerBasicKmipV14 = 0x79 "Baseline Server Basic KMIP v1.4",
        BaselineServerTlsV12KmipV14 = 0x7A "Baseline Server TLS v1.2 KMIP v1.4",
        BaselineClientBasicKmipV14 = 0x7B "Baseline Client Basic KMIP v1.4",
        BaselineClientTlsV12KmipV14 = 0x7C "Baseline Client TLS v1.2 KMIP v1.4",
        CompleteServerBasicKmipV14 = 0x7D "Complete Server Basic KMIP v1.4",
        CompleteServerTlsV12KmipV14 = 0x7E "Complete Server TLS v1.2 KMIP v1.4",
        TapeLibraryClientKmipV14 = 0x7F "Tape Library Client KMIP v1.4",
        TapeLibraryServerKmipV14 = 0x80 "Tape Library Server KMIP v1.4",
        SymmetricKeyLifecycleClientKmipV14 = 0x81 "Symmetric Key Lifecycle Client KMIP v1.4",
        SymmetricKeyLifecycleServerKmipV14 = 0x82 "Symmetric Key Lifecycle Server KMIP v1.4",
        AsymmetricKeyLifecycleClientKmipV14 = 0x83 "Asymmetric Key Lifecycle Client KMIP v1.4",
        AsymmetricKeyLifecycleServerKmipV14 = 0x84 "Asymmetric Key Lifecycle Server KMIP v1.4",
        BasicCryptographicClientKmipV14 = 0x85 "Basic Cryptographic Client KMIP v1.4",
        BasicCryptographicServerKmipV14 = 0x86 "Basic Cryptographic Server KMIP v1.4",
        AdvancedCryptographicClientKmipV14 = 0x87 "Advanced Cryptographic Client KMIP v1.4",
        AdvancedCryptographicServerKmipV14 = 0x88 "Advanced Cryptographic Server KMIP v1.4",
        RngCryptographicClientKmipV14 = 0x89 "RNG Cryptographic Client KMIP v1.4",
        RngCryptographicServerKmipV14 = 0x8A "RNG Cryptographic Server KMIP v1.4",
        BasicSymmetricKeyFoundryClientKmipV14 = 0x8B "Basic Symmetric Key Foundry Client KMIP v1.4",
        IntermediateSymmetricKeyFoundryClientKmipV14 = 0x8C "Intermediate Symmetric Key Foundry Client KMIP v1.4",
        AdvancedSymmetricKeyFoundryClientKmipV14 = 0x8D "Advanced Symmetric Key Foundry Client KMIP v1.4",
        SymmetricKeyFoundryServerKmipV14 = 0x8E "Symmetric Key Foundry Server KMIP v1.4",
        OpaqueManagedObjectStoreClientKmipV14 = 0x8F "Opaque Managed Object Store Client KMIP v1.4",
        OpaqueManagedObjectStoreServerKmipV14 = 0x90 "Opaque Managed Object Store Server KMIP v1.4",
        SuiteBMinLos128ClientKmipV14 = 0x91 "Suite B minLOS_128 Client KMIP v1.4",
        SuiteBMinLos128ServerKmipV14 = 0x92 "Suite B minLOS_128 Server KMIP v1.4",
        SuiteBMinLos192ClientKmipV14 = 0x93 "Suite B minLOS_192 Client KMIP v1.4",
        SuiteBMinLos192ServerKmipV14 = 0x94 "Suite B minLOS_192 Server KMIP v1.4",
        StorageArrayWithSelfEncryptingDriveClientKmipV14 = 0x95 "Storage Array with Self Encrypting Drive Client KMIP v1.4",
        StorageArrayWithSelfEncryptingDriveServerKmipV14 = 0x96 "Storage Array with Self Encrypting Drive Server KMIP v1.4",
        HttpsClientKmipV14 = 0x97 "HTTPS Client KMIP v1.4",
        HttpsServerKmipV14 = 0x98 "HTTPS Server KMIP v1.4",
        JsonClientKmipV14 = 0x99 "JSON Client KMIP v1.4",
        JsonServerKmipV14 = 0x9A "JSON Server KMIP v1.4",
        XmlClientKmipV14 = 0x9B "XML Client KMIP v1.4",
        XmlServerKmipV14 = 0x9C "XML Server KMIP v1.4",
    }
}
