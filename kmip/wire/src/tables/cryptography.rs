//! The enumerations that describe keys, algorithms and objects (KMIP 1.4 §9.1.3.2).

use super::enumeration::enums;

enums! {
    /// §9.1.3.2.13.
    CryptographicAlgorithm CRYPTOGRAPHIC_ALGORITHM {
        Des = 0x1 "DES",
        TripleDes = 0x2 "3DES",
        Aes = 0x3 "AES",
        Rsa = 0x4 "RSA",
        Dsa = 0x5 "DSA",
        Ecdsa = 0x6 "ECDSA",
        HmacSha1 = 0x7 "HMAC-SHA1",
        HmacSha224 = 0x8 "HMAC-SHA224",
        HmacSha256 = 0x9 "HMAC-SHA256",
        HmacSha384 = 0xA "HMAC-SHA384",
        HmacSha512 = 0xB "HMAC-SHA512",
        HmacMd5 = 0xC "HMAC-MD5",
        Dh = 0xD "DH",
        Ecdh = 0xE "ECDH",
        Ecmqv = 0xF "ECMQV",
        Blowfish = 0x10 "Blowfish",
        Camellia = 0x11 "Camellia",
        Cast5 = 0x12 "CAST5",
        Idea = 0x13 "IDEA",
        Mars = 0x14 "MARS",
        Rc2 = 0x15 "RC2",
        Rc4 = 0x16 "RC4",
        Rc5 = 0x17 "RC5",
        Skipjack = 0x18 "SKIPJACK",
        Twofish = 0x19 "Twofish",
        Ec = 0x1A "EC",
        OneTimePad = 0x1B "One Time Pad",
        ChaCha20 = 0x1C "ChaCha20",
        Poly1305 = 0x1D "Poly1305",
        ChaCha20Poly1305 = 0x1E "ChaCha20Poly1305",
        Sha3224 = 0x1F "SHA3-224",
        Sha3256 = 0x20 "SHA3-256",
        Sha3384 = 0x21 "SHA3-384",
        Sha3512 = 0x22 "SHA3-512",
        HmacSha3224 = 0x23 "HMAC-SHA3-224",
        HmacSha3256 = 0x24 "HMAC-SHA3-256",
        HmacSha3384 = 0x25 "HMAC-SHA3-384",
        HmacSha3512 = 0x26 "HMAC-SHA3-512",
        Shake128 = 0x27 "SHAKE-128",
        Shake256 = 0x28 "SHAKE-256",
    }

    /// §9.1.3.2.14.
    BlockCipherMode BLOCK_CIPHER_MODE {
        Cbc = 0x1 "CBC",
        Ecb = 0x2 "ECB",
        Pcbc = 0x3 "PCBC",
        Cfb = 0x4 "CFB",
        Ofb = 0x5 "OFB",
        Ctr = 0x6 "CTR",
        Cmac = 0x7 "CMAC",
        Ccm = 0x8 "CCM",
        Gcm = 0x9 "GCM",
        CbcMac = 0xA "CBC-MAC",
        Xts = 0xB "XTS",
        AesKeyWrapPadding = 0xC "AESKeyWrapPadding",
        NistKeyWrap = 0xD "NISTKeyWrap",
        X9102Aeskw = 0xE "X9.102 AESKW",
        X9102Tdkw = 0xF "X9.102 TDKW",
        X9102Akw1 = 0x10 "X9.102 AKW1",
        X9102Akw2 = 0x11 "X9.102 AKW2",
        Aead = 0x12 "AEAD",
    }

    /// §9.1.3.2.15.
    PaddingMethod PADDING_METHOD {
        None = 0x1 "None",
        Oaep = 0x2 "OAEP",
        Pkcs5 = 0x3 "PKCS5",
        Ssl3 = 0x4 "SSL3",
        Zeros = 0x5 "Zeros",
        AnsiX923 = 0x6 "ANSI X9.23",
        Iso10126 = 0x7 "ISO 10126",
        Pkcs1V15 = 0x8 "PKCS1 v1.5",
        X931 = 0x9 "X9.31",
        Pss = 0xA "PSS",
    }

    /// §9.1.3.2.16.
    HashingAlgorithm HASHING_ALGORITHM MASK_GENERATOR_HASHING_ALGORITHM {
        Md2 = 0x1 "MD2",
        Md4 = 0x2 "MD4",
        Md5 = 0x3 "MD5",
        Sha1 = 0x4 "SHA-1",
        Sha224 = 0x5 "SHA-224",
        Sha256 = 0x6 "SHA-256",
        Sha384 = 0x7 "SHA-384",
        Sha512 = 0x8 "SHA-512",
        Ripemd160 = 0x9 "RIPEMD-160",
        Tiger = 0xA "Tiger",
        Whirlpool = 0xB "Whirlpool",
        Sha512224 = 0xC "SHA-512/224",
        Sha512256 = 0xD "SHA-512/256",
        Sha3224 = 0xE "SHA-3-224",
        Sha3256 = 0xF "SHA-3-256",
        Sha3384 = 0x10 "SHA-3-384",
        Sha3512 = 0x11 "SHA-3-512",
    }

    /// §9.1.3.2.7.
    DigitalSignatureAlgorithm DIGITAL_SIGNATURE_ALGORITHM {
        Md2WithRsaEncryption = 0x1 "MD2 with RSA Encryption",
        Md5WithRsaEncryption = 0x2 "MD5 with RSA Encryption",
        Sha1WithRsaEncryption = 0x3 "SHA-1 with RSA Encryption",
        Sha224WithRsaEncryption = 0x4 "SHA-224 with RSA Encryption",
        Sha256WithRsaEncryption = 0x5 "SHA-256 with RSA Encryption",
        Sha384WithRsaEncryption = 0x6 "SHA-384 with RSA Encryption",
        Sha512WithRsaEncryption = 0x7 "SHA-512 with RSA Encryption",
        RsassaPss = 0x8 "RSASSA-PSS",
        DsaWithSha1 = 0x9 "DSA with SHA-1",
        DsaWithSha224 = 0xA "DSA with SHA224",
        DsaWithSha256 = 0xB "DSA with SHA256",
        EcdsaWithSha1 = 0xC "ECDSA with SHA-1",
        EcdsaWithSha224 = 0xD "ECDSA with SHA224",
        EcdsaWithSha256 = 0xE "ECDSA with SHA256",
        EcdsaWithSha384 = 0xF "ECDSA with SHA384",
        EcdsaWithSha512 = 0x10 "ECDSA with SHA512",
        Sha3256WithRsaEncryption = 0x11 "SHA3-256 with RSA Encryption",
        Sha3384WithRsaEncryption = 0x12 "SHA3-384 with RSA Encryption",
        Sha3512WithRsaEncryption = 0x13 "SHA3-512 with RSA Encryption",
    }

    /// §9.1.3.2.49.
    MaskGenerator MASK_GENERATOR {
        Mgf1 = 0x1 "MGF1",
    }

    /// §9.1.3.2.17.
    KeyRoleType KEY_ROLE_TYPE {
        Bdk = 0x1 "BDK",
        Cvk = 0x2 "CVK",
        Dek = 0x3 "DEK",
        Mkac = 0x4 "MKAC",
        Mksmc = 0x5 "MKSMC",
        Mksmi = 0x6 "MKSMI",
        Mkdac = 0x7 "MKDAC",
        Mkdn = 0x8 "MKDN",
        Mkcp = 0x9 "MKCP",
        Mkoth = 0xA "MKOTH",
        Kek = 0xB "KEK",
        Mac16609 = 0xC "MAC16609",
        Mac97971 = 0xD "MAC97971",
        Mac97972 = 0xE "MAC97972",
        Mac97973 = 0xF "MAC97973",
        Mac97974 = 0x10 "MAC97974",
        Mac97975 = 0x11 "MAC97975",
        Zpk = 0x12 "ZPK",
        Pvkibm = 0x13 "PVKIBM",
        Pvkpvv = 0x14 "PVKPVV",
        Pvkoth = 0x15 "PVKOTH",
        Dukpt = 0x16 "DUKPT",
        Iv = 0x17 "IV",
        Trkbk = 0x18 "TRKBK",
    }

    /// §9.1.3.2.3; 0E to 13 are deprecated.
    KeyFormatType KEY_FORMAT_TYPE {
        Raw = 0x1 "Raw",
        Opaque = 0x2 "Opaque",
        Pkcs1 = 0x3 "PKCS#1",
        Pkcs8 = 0x4 "PKCS#8",
        X509 = 0x5 "X.509",
        EcPrivateKey = 0x6 "ECPrivateKey",
        TransparentSymmetricKey = 0x7 "Transparent Symmetric Key",
        TransparentDsaPrivateKey = 0x8 "Transparent DSA Private Key",
        TransparentDsaPublicKey = 0x9 "Transparent DSA Public Key",
        TransparentRsaPrivateKey = 0xA "Transparent RSA Private Key",
        TransparentRsaPublicKey = 0xB "Transparent RSA Public Key",
        TransparentDhPrivateKey = 0xC "Transparent DH Private Key",
        TransparentDhPublicKey = 0xD "Transparent DH Public Key",
        TransparentEcdsaPrivateKey = 0xE "Transparent ECDSA Private Key",
        TransparentEcdsaPublicKey = 0xF "Transparent ECDSA Public Key",
        TransparentEcdhPrivateKey = 0x10 "Transparent ECDH Private Key",
        TransparentEcdhPublicKey = 0x11 "Transparent ECDH Public Key",
        TransparentEcmqvPrivateKey = 0x12 "Transparent ECMQV Private Key",
        TransparentEcmqvPublicKey = 0x13 "Transparent ECMQV Public Key",
        TransparentEcPrivateKey = 0x14 "Transparent EC Private Key",
        TransparentEcPublicKey = 0x15 "Transparent EC Public Key",
        Pkcs12 = 0x16 "PKCS#12",
    }

    /// §9.1.3.2.2.
    KeyCompressionType KEY_COMPRESSION_TYPE {
        EcPublicKeyTypeUncompressed = 0x1 "EC Public Key Type Uncompressed",
        EcPublicKeyTypeX962CompressedPrime = 0x2 "EC Public Key Type X9.62 Compressed Prime",
        EcPublicKeyTypeX962CompressedChar2 = 0x3 "EC Public Key Type X9.62 Compressed Char2",
        EcPublicKeyTypeX962Hybrid = 0x4 "EC Public Key Type X9.62 Hybrid",
    }

    /// §9.1.3.2.4.
    WrappingMethod WRAPPING_METHOD {
        Encrypt = 0x1 "Encrypt",
        MacSign = 0x2 "MAC/sign",
        EncryptThenMacSign = 0x3 "Encrypt then MAC/sign",
        MacSignThenEncrypt = 0x4 "MAC/sign then encrypt",
        Tr31 = 0x5 "TR-31",
    }

    /// §9.1.3.2.32.
    EncodingOption ENCODING_OPTION {
        NoEncoding = 0x1 "No Encoding",
        TtlvEncoding = 0x2 "TTLV Encoding",
    }

    /// §9.1.3.2.8.
    SplitKeyMethod SPLIT_KEY_METHOD {
        Xor = 0x1 "XOR",
        PolynomialSharingGf2To16 = 0x2 "Polynomial Sharing GF (2^16)",
        PolynomialSharingPrimeField = 0x3 "Polynomial Sharing Prime Field",
        PolynomialSharingGf2To8 = 0x4 "Polynomial Sharing GF (2^8)",
    }

    /// §9.1.3.2.21.
    DerivationMethod DERIVATION_METHOD {
        Pbkdf2 = 0x1 "PBKDF2",
        Hash = 0x2 "HASH",
        Hmac = 0x3 "HMAC",
        Encrypt = 0x4 "ENCRYPT",
        Nist800108C = 0x5 "NIST800-108-C",
        Nist800108F = 0x6 "NIST800-108-F",
        Nist800108Dpi = 0x7 "NIST800-108-DPI",
        AsymmetricKey = 0x8 "Asymmetric Key",
    }

    /// §9.1.3.2.5.
    RecommendedCurve RECOMMENDED_CURVE {
        P192 = 0x1 "P-192",
        K163 = 0x2 "K-163",
        B163 = 0x3 "B-163",
        P224 = 0x4 "P-224",
        K233 = 0x5 "K-233",
        B233 = 0x6 "B-233",
        P256 = 0x7 "P-256",
        K283 = 0x8 "K-283",
        B283 = 0x9 "B-283",
        P384 = 0xA "P-384",
        K409 = 0xB "K-409",
        B409 = 0xC "B-409",
        P521 = 0xD "P-521",
        K571 = 0xE "K-571",
        B571 = 0xF "B-571",
        Secp112r1 = 0x10 "SECP112R1",
        Secp112r2 = 0x11 "SECP112R2",
        Secp128r1 = 0x12 "SECP128R1",
        Secp128r2 = 0x13 "SECP128R2",
        Secp160k1 = 0x14 "SECP160K1",
        Secp160r1 = 0x15 "SECP160R1",
        Secp160r2 = 0x16 "SECP160R2",
        Secp192k1 = 0x17 "SECP192K1",
        Secp224k1 = 0x18 "SECP224K1",
        Secp256k1 = 0x19 "SECP256K1",
        Sect113r1 = 0x1A "SECT113R1",
        Sect113r2 = 0x1B "SECT113R2",
        Sect131r1 = 0x1C "SECT131R1",
        Sect131r2 = 0x1D "SECT131R2",
        Sect163r1 = 0x1E "SECT163R1",
        Sect193r1 = 0x1F "SECT193R1",
        Sect193r2 = 0x20 "SECT193R2",
        Sect239k1 = 0x21 "SECT239K1",
        Ansix9p192v2 = 0x22 "ANSIX9P192V2",
        Ansix9p192v3 = 0x23 "ANSIX9P192V3",
        Ansix9p239v1 = 0x24 "ANSIX9P239V1",
        Ansix9p239v2 = 0x25 "ANSIX9P239V2",
        Ansix9p239v3 = 0x26 "ANSIX9P239V3",
        Ansix9c2pnb163v1 = 0x27 "ANSIX9C2PNB163V1",
        Ansix9c2pnb163v2 = 0x28 "ANSIX9C2PNB163V2",
        Ansix9c2pnb163v3 = 0x29 "ANSIX9C2PNB163V3",
        Ansix9c2pnb176v1 = 0x2A "ANSIX9C2PNB176V1",
        Ansix9c2tnb191v1 = 0x2B "ANSIX9C2TNB191V1",
        Ansix9c2tnb191v2 = 0x2C "ANSIX9C2TNB191V2",
        Ansix9c2tnb191v3 = 0x2D "ANSIX9C2TNB191V3",
        Ansix9c2pnb208w1 = 0x2E "ANSIX9C2PNB208W1",
        Ansix9c2tnb239v1 = 0x2F "ANSIX9C2TNB239V1",
        Ansix9c2tnb239v2 = 0x30 "ANSIX9C2TNB239V2",
        Ansix9c2tnb239v3 = 0x31 "ANSIX9C2TNB239V3",
        Ansix9c2pnb272w1 = 0x32 "ANSIX9C2PNB272W1",
        Ansix9c2pnb304w1 = 0x33 "ANSIX9C2PNB304W1",
        Ansix9c2tnb359v1 = 0x34 "ANSIX9C2TNB359V1",
        Ansix9c2pnb368w1 = 0x35 "ANSIX9C2PNB368W1",
        Ansix9c2tnb431r1 = 0x36 "ANSIX9C2TNB431R1",
        Brainpoolp160r1 = 0x37 "BRAINPOOLP160R1",
        Brainpoolp160t1 = 0x38 "BRAINPOOLP160T1",
        Brainpoolp192r1 = 0x39 "BRAINPOOLP192R1",
        Brainpoolp192t1 = 0x3A "BRAINPOOLP192T1",
        Brainpoolp224r1 = 0x3B "BRAINPOOLP224R1",
        Brainpoolp224t1 = 0x3C "BRAINPOOLP224T1",
        Brainpoolp256r1 = 0x3D "BRAINPOOLP256R1",
        Brainpoolp256t1 = 0x3E "BRAINPOOLP256T1",
        Brainpoolp320r1 = 0x3F "BRAINPOOLP320R1",
        Brainpoolp320t1 = 0x40 "BRAINPOOLP320T1",
        Brainpoolp384r1 = 0x41 "BRAINPOOLP384R1",
        Brainpoolp384t1 = 0x42 "BRAINPOOLP384T1",
        Brainpoolp512r1 = 0x43 "BRAINPOOLP512R1",
        Brainpoolp512t1 = 0x44 "BRAINPOOLP512T1",
    }
}
