//! The Cryptographic Usage Mask (KMIP 1.4 §3.19, §9.1.3.3.1): what a key may be used for.

/// Bits of allowed uses. 0 allows none, which libmongocrypt sends for the secret data that it only stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct UsageMask(pub i32);

impl UsageMask {
    pub const SIGN: Self = Self(0x0000_0001);
    pub const VERIFY: Self = Self(0x0000_0002);
    pub const ENCRYPT: Self = Self(0x0000_0004);
    pub const DECRYPT: Self = Self(0x0000_0008);
    pub const WRAP_KEY: Self = Self(0x0000_0010);
    pub const UNWRAP_KEY: Self = Self(0x0000_0020);
    pub const EXPORT: Self = Self(0x0000_0040);
    pub const MAC_GENERATE: Self = Self(0x0000_0080);
    pub const MAC_VERIFY: Self = Self(0x0000_0100);
    pub const DERIVE_KEY: Self = Self(0x0000_0200);
    pub const CONTENT_COMMITMENT: Self = Self(0x0000_0400);
    pub const KEY_AGREEMENT: Self = Self(0x0000_0800);
    pub const CERTIFICATE_SIGN: Self = Self(0x0000_1000);
    pub const CRL_SIGN: Self = Self(0x0000_2000);
    pub const GENERATE_CRYPTOGRAM: Self = Self(0x0000_4000);
    pub const VALIDATE_CRYPTOGRAM: Self = Self(0x0000_8000);
    pub const TRANSLATE_ENCRYPT: Self = Self(0x0001_0000);
    pub const TRANSLATE_DECRYPT: Self = Self(0x0002_0000);
    pub const TRANSLATE_WRAP: Self = Self(0x0004_0000);
    pub const TRANSLATE_UNWRAP: Self = Self(0x0008_0000);
    /// Every bit that KMIP 1.4 defines.
    pub const ALL: Self = Self(0x000F_FFFF);

    /// Whether every use in `uses` is allowed.
    pub const fn allows(self, uses: Self) -> bool {
        self.0 & uses.0 == uses.0
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
