//! The names in the text: made from the printed names of the tables by the profiles' rule, looked up both ways.

use std::{collections::HashMap, sync::LazyLock};

use crate::{
    Tag,
    tables::{self, STORAGE_STATUS_NAMES, UsageMask},
};

/// Names that are read besides those of the tables: two operations that are asked of clients only, and the names whose last
/// words, in brackets, the tables and the OASIS cases leave out.
const ALSO: &[(Tag, u32, &str)] = &[
    (Tag::OPERATION, 0x1B, "Notify"),
    (Tag::OPERATION, 0x1C, "Put"),
    (Tag::CRYPTOGRAPHIC_USAGE_MASK, 0x400, "Content Commitment (Non Repudiation)"),
    (Tag::DIGITAL_SIGNATURE_ALGORITHM, 0x1, "MD2 with RSA Encryption (PKCS#1 v1.5)"),
    (Tag::DIGITAL_SIGNATURE_ALGORITHM, 0x2, "MD5 with RSA Encryption (PKCS#1 v1.5)"),
    (Tag::DIGITAL_SIGNATURE_ALGORITHM, 0x3, "SHA-1 with RSA Encryption (PKCS#1 v1.5)"),
    (Tag::DIGITAL_SIGNATURE_ALGORITHM, 0x4, "SHA-224 with RSA Encryption (PKCS#1 v1.5)"),
    (Tag::DIGITAL_SIGNATURE_ALGORITHM, 0x5, "SHA-256 with RSA Encryption (PKCS#1 v1.5)"),
    (Tag::DIGITAL_SIGNATURE_ALGORITHM, 0x6, "SHA-384 with RSA Encryption (PKCS#1 v1.5)"),
    (Tag::DIGITAL_SIGNATURE_ALGORITHM, 0x7, "SHA-512 with RSA Encryption (PKCS#1 v1.5)"),
    (Tag::DIGITAL_SIGNATURE_ALGORITHM, 0x8, "RSASSA-PSS (PKCS#1 v2.1)"),
];

/// Codes and their names in the text.
#[derive(Default)]
pub(super) struct Names {
    by_name: HashMap<String, u32>,
    by_code: HashMap<u32, String>,
}

impl Names {
    fn of<'a>(printed: impl Iterator<Item = (u32, &'a str)>) -> Self {
        let mut names = Self::default();
        printed.for_each(|(code, text)| names.add(code, text));
        names
    }

    /// The first name of a code is the one that is written.
    fn add(&mut self, code: u32, printed: &str) {
        let name = camel_case(printed);
        self.by_code.entry(code).or_insert_with(|| name.clone());
        self.by_name.insert(name, code);
    }

    pub(super) fn code(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    pub(super) fn name(&self, code: u32) -> Option<&str> {
        self.by_code.get(&code).map(String::as_str)
    }
}

/// What the tables say, in the form of the text: made once, never changed.
static TAGS: LazyLock<Names> =
    LazyLock::new(|| Names::of(Tag::ALL.iter().filter_map(|tag| Some((tag.0, tag.name()?)))));

static ENUMERATIONS: LazyLock<HashMap<Tag, Names>> = LazyLock::new(|| {
    let tags = tables::enumerations().flat_map(|listed| listed.tags.iter().map(move |&tag| (tag, listed.names)));
    with_others(tags.map(|(tag, names)| (tag, Names::of(names.iter().copied()))).collect())
});

static MASKS: LazyLock<HashMap<Tag, Names>> = LazyLock::new(|| {
    let masks = [(Tag::CRYPTOGRAPHIC_USAGE_MASK, UsageMask::NAMES), (Tag::STORAGE_STATUS_MASK, STORAGE_STATUS_NAMES)];
    with_others(masks.into_iter().map(|(tag, names)| (tag, Names::of(names.iter().copied()))).collect())
});

fn with_others(mut tables: HashMap<Tag, Names>) -> HashMap<Tag, Names> {
    for &(tag, code, printed) in ALSO {
        if let Some(names) = tables.get_mut(&tag) {
            names.add(code, printed);
        }
    }
    tables
}

/// The tag of a name, or of `0x` and six hexadecimal digits.
pub(super) fn tag_of(text: &str) -> Option<Tag> {
    let Some(digits) = text.strip_prefix("0x") else {
        return TAGS.code(text).map(Tag);
    };
    let known = digits.len() == 6 && (digits.starts_with("42") || digits.starts_with("54"));
    let hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| known && hexadecimal).map(Tag)
}

/// A tag's name in the text, or `None` for one that KMIP 1.4 does not know.
pub(super) fn name_of(tag: Tag) -> Option<&'static str> {
    TAGS.name(tag.0)
}

/// The names of the enumeration that stands under `tag`.
pub(super) fn enumeration(tag: Tag) -> Option<&'static Names> {
    ENUMERATIONS.get(&tag)
}

/// The names of the bits of the mask that stands under `tag`.
pub(super) fn mask(tag: Tag) -> Option<&'static Names> {
    MASKS.get(&tag)
}

/// A printed name as it stands in the text: KMIP Profiles 1.4, "Normalizing Names", rules 1 to 6.
fn camel_case(printed: &str) -> String {
    let chars: Vec<char> = printed.chars().collect();
    let spaced: String =
        chars.iter().enumerate().map(|(at, &c)| spaced(c, chars.get(at + 1..).unwrap_or_default())).collect();
    let mut name = String::new();
    for (place, word) in spaced.split_whitespace().enumerate() {
        // 4. Digits that begin the first word go to its end.
        let digits = if place == 0 { word.chars().take_while(char::is_ascii_digit).count() } else { 0 };
        let (front, rest) = word.split_at_checked(digits).unwrap_or(("", word));
        let mut rest = rest.chars();
        // 5. and 6. Each word begins with a capital; no spaces.
        name.extend(rest.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(rest.as_str());
        name.push_str(front);
    }
    name
}

/// Rules 1 to 3: a bracket, or what stands before the beginning of an ordinary word, is a space; other signs are underscores.
fn spaced(c: char, after: &[char]) -> char {
    let begins_word = matches!(after, [a, b, ..] if a.is_ascii_alphabetic() && b.is_ascii_lowercase());
    match c {
        '(' | ')' => ' ',
        c if c.is_ascii_alphanumeric() || c == '_' || c.is_whitespace() => c,
        _ if begins_word => ' ',
        _ => '_',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names as the OASIS cases and the profiles' examples have them.
    #[test]
    fn printed_names_become_the_names_of_the_profiles() {
        for (printed, name) in [
            ("Unique Batch Item ID", "UniqueBatchItemID"),
            ("IV/Counter/Nonce", "IVCounterNonce"),
            ("MAC/Signature Key Information", "MACSignatureKeyInformation"),
            ("Private Key Template-Attribute", "PrivateKeyTemplateAttribute"),
            ("X.509 Certificate Identifier", "X_509CertificateIdentifier"),
            ("PKCS#12 Friendly Name", "PKCS_12FriendlyName"),
            ("3DES", "DES3"),
            ("HMAC-SHA256", "HMAC_SHA256"),
            ("SHA-512/224", "SHA_512_224"),
            ("ANSI X9.31", "ANSIX9_31"),
            ("PKCS1 v1.5", "PKCS1V1_5"),
            ("Re-key Key Pair", "ReKeyKeyPair"),
            ("Pre-Active", "PreActive"),
            ("Cessation of Operation", "CessationOfOperation"),
            ("MAC/sign then encrypt", "MACSignThenEncrypt"),
            ("GP x-Change Notice", "GPXChangeNotice"),
            ("Dual-EC", "Dual_EC"),
            ("P-256", "P_256"),
            ("On-line storage", "OnLineStorage"),
            ("Polynomial Sharing GF (2^16)", "PolynomialSharingGF2_16"),
            ("MD2 with RSA Encryption (PKCS#1 v1.5)", "MD2WithRSAEncryptionPKCS_1V1_5"),
            ("Suite B minLOS_128 Server KMIP v1.4", "SuiteBMinLOS_128ServerKMIPV1_4"),
        ] {
            assert_eq!(camel_case(printed), name);
        }
    }

    #[test]
    fn each_name_has_one_meaning_and_leads_back() {
        assert_eq!(TAGS.by_name.len(), Tag::ALL.len());
        for &tag in Tag::ALL {
            let name = name_of(tag).unwrap();
            assert_eq!(tag_of(name), Some(tag));
            assert!(
                name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
                    && !name.starts_with(|c: char| c.is_ascii_digit())
            );
        }
        for (tables, others) in [(&*ENUMERATIONS, 10), (&*MASKS, 1)] {
            let more: usize = tables.values().map(|names| names.by_name.len() - names.by_code.len()).sum();
            assert!(more <= others, "two values of one name");
            for names in tables.values() {
                assert!(names.by_code.iter().all(|(code, name)| names.code(name) == Some(*code)));
            }
        }
    }

    #[test]
    fn the_tables_are_those_of_kmip_1_4() {
        assert_eq!(Tag::ALL.len(), 292);
        assert!(Tag::ALL.is_sorted());
        assert_eq!(Tag::named("Compromise Date"), Some(Tag(0x42_0020)));
        let tags: Vec<Tag> = tables::enumerations().flat_map(|listed| listed.tags).copied().collect();
        assert_eq!(
            tags.len(),
            49,
            "49 enumerations less Opaque Data Type, which has no value, and one that has two tags"
        );
        assert_eq!(ENUMERATIONS.len(), tags.len(), "no tag has two enumerations");
        let values: usize = tables::enumerations().map(|listed| listed.names.len()).sum();
        assert_eq!(values + 2, 608, "the tables leave out Notify and Put");
        assert_eq!(enumeration(Tag::MASK_GENERATOR_HASHING_ALGORITHM).unwrap().code("SHA_256"), Some(6));
        assert_eq!(enumeration(Tag::PROFILE_NAME).unwrap().name(0x9C), Some("XMLServerKMIPV1_4"));
        assert_eq!(mask(Tag::CRYPTOGRAPHIC_USAGE_MASK).unwrap().by_code.len(), 20);
    }

    #[test]
    fn a_tag_can_be_written_as_a_number() {
        assert_eq!(tag_of("0x42005C"), Some(Tag::OPERATION));
        assert_eq!(tag_of("0x54fFfF"), Some(Tag(0x54_FFFF)));
        for wrong in
            ["0x42005", "0x42005C0", "0x430001", "0x42+05C", "42005C", "0X42005C", "operation", "Operation ", ""]
        {
            assert_eq!(tag_of(wrong), None, "{wrong}");
        }
    }
}
