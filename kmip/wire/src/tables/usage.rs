//! The Cryptographic Usage Mask (KMIP 1.4 §3.19, §9.1.3.3.1): what a key may be used for.

/// Bits of allowed uses. 0 allows none, which libmongocrypt sends for the secret data that it only stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct UsageMask(pub i32);

macro_rules! uses {
    ($($constant:ident = $bit:literal $text:literal;)*) => {
        impl UsageMask {
            $(pub const $constant: Self = Self($bit);)*

            /// Bit and printed name of each use.
            pub(crate) const NAMES: &'static [(u32, &'static str)] = &[$(($bit, $text),)*];
        }
    };
}

uses! {
    SIGN = 0x0000_0001 "Sign";
    VERIFY = 0x0000_0002 "Verify";
    ENCRYPT = 0x0000_0004 "Encrypt";
    DECRYPT = 0x0000_0008 "Decrypt";
    WRAP_KEY = 0x0000_0010 "Wrap Key";
    UNWRAP_KEY = 0x0000_0020 "Unwrap Key";
    EXPORT = 0x0000_0040 "Export";
    MAC_GENERATE = 0x0000_0080 "MAC Generate";
    MAC_VERIFY = 0x0000_0100 "MAC Verify";
    DERIVE_KEY = 0x0000_0200 "Derive Key";
    CONTENT_COMMITMENT = 0x0000_0400 "Content Commitment";
    KEY_AGREEMENT = 0x0000_0800 "Key Agreement";
    CERTIFICATE_SIGN = 0x0000_1000 "Certificate Sign";
    CRL_SIGN = 0x0000_2000 "CRL Sign";
    GENERATE_CRYPTOGRAM = 0x0000_4000 "Generate Cryptogram";
    VALIDATE_CRYPTOGRAM = 0x0000_8000 "Validate Cryptogram";
    TRANSLATE_ENCRYPT = 0x0001_0000 "Translate Encrypt";
    TRANSLATE_DECRYPT = 0x0002_0000 "Translate Decrypt";
    TRANSLATE_WRAP = 0x0004_0000 "Translate Wrap";
    TRANSLATE_UNWRAP = 0x0008_0000 "Translate Unwrap";
}

/// Bit and printed name of each storage status (§9.1.3.3.2).
pub(crate) const STORAGE_STATUS_NAMES: &[(u32, &str)] = &[(1, "On-line storage"), (2, "Archival storage")];

impl UsageMask {
    /// Every bit that KMIP 1.4 defines.
    pub const ALL: Self = Self(0x000F_FFFF);

    /// Whether every use in `uses` is allowed.
    pub const fn allows(self, uses: Self) -> bool {
        self.0 & uses.0 == uses.0
    }

    /// The printed name of each use, in the order of the bits.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().map(|(_, name)| *name)
    }

    pub const fn with(self, uses: Self) -> Self {
        Self(self.0 | uses.0)
    }

    /// Whether only bits that KMIP 1.4 or a vendor's extension range defines are set.
    pub const fn is_defined(self) -> bool {
        // §9.1.3.3.1 keeps 0xXXX00000 for extensions; we have none.
        self.0 & !Self::ALL.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_allows_only_what_it_names() {
        let mask = UsageMask::ENCRYPT.with(UsageMask::DECRYPT);
        assert_eq!(mask.0, 12);
        assert!(mask.allows(UsageMask::ENCRYPT));
        assert!(!mask.allows(UsageMask::WRAP_KEY));
        assert!(!UsageMask(0).allows(UsageMask::ENCRYPT));
        assert!(!UsageMask(1 << 30).is_defined());
    }
}
