//! Where things lie: countries, the three sets that residency rules may name, and the countries of AWS regions.

/// ISO 3166-1 alpha-2, officially assigned codes.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY \
    BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF \
    GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY \
    KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP \
    NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY \
    SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

const EU: &str = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK";
/// The EEA is the EU and these; EFTA is these and CH.
const EEA_BESIDE_EU: &str = "IS LI NO";

/// Sets that a residency rule may name besides countries.
pub(crate) const SETS: &[&str] = &["EU", "EEA", "EFTA"];

fn among(list: &str, code: &str) -> bool {
    list.split_ascii_whitespace().any(|c| c == code)
}

pub(crate) fn is_country(code: &str) -> bool {
    among(COUNTRIES, code)
}

/// True when `country` is `place`, or lies in the set `place`.
pub(crate) fn lies_in(country: &str, place: &str) -> bool {
    match place {
        "EU" => among(EU, country),
        "EEA" => among(EU, country) || among(EEA_BESIDE_EU, country),
        "EFTA" => among(EEA_BESIDE_EU, country) || country == "CH",
        other => other == country,
    }
}

/// Commercial, China and GovCloud regions of AWS, as its documentation lists them.
const AWS: &[(&str, &str)] = &[
    ("af-south-1", "ZA"),
    ("ap-east-1", "HK"),
    ("ap-east-2", "TW"),
    ("ap-northeast-1", "JP"),
    ("ap-northeast-2", "KR"),
    ("ap-northeast-3", "JP"),
    ("ap-south-1", "IN"),
    ("ap-south-2", "IN"),
    ("ap-southeast-1", "SG"),
    ("ap-southeast-2", "AU"),
    ("ap-southeast-3", "ID"),
    ("ap-southeast-4", "AU"),
    ("ap-southeast-5", "MY"),
    ("ap-southeast-6", "NZ"),
    ("ap-southeast-7", "TH"),
    ("ca-central-1", "CA"),
    ("ca-west-1", "CA"),
    ("cn-north-1", "CN"),
    ("cn-northwest-1", "CN"),
    ("eu-central-1", "DE"),
    ("eu-central-2", "CH"),
    ("eu-north-1", "SE"),
    ("eu-south-1", "IT"),
    ("eu-south-2", "ES"),
    ("eu-west-1", "IE"),
    ("eu-west-2", "GB"),
    ("eu-west-3", "FR"),
    ("eusc-de-east-1", "DE"),
    ("il-central-1", "IL"),
    ("me-central-1", "AE"),
    ("me-south-1", "BH"),
    ("mx-central-1", "MX"),
    ("sa-east-1", "BR"),
    ("us-east-1", "US"),
    ("us-east-2", "US"),
    ("us-gov-east-1", "US"),
    ("us-gov-west-1", "US"),
    ("us-west-1", "US"),
    ("us-west-2", "US"),
];

/// The country of an AWS region, if this release knows it.
pub(crate) fn of_aws(region: &str) -> Option<&'static str> {
    AWS.iter().find(|(name, _)| *name == region).map(|(_, country)| *country)
}

pub(crate) fn aws_regions() -> impl Iterator<Item = &'static str> {
    AWS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_hold_who_is_in_them() {
        assert_eq!((COUNTRIES.split_ascii_whitespace().count(), EU.split_ascii_whitespace().count()), (249, 27));
        assert!(EU.split_ascii_whitespace().all(is_country) && AWS.iter().all(|(_, c)| is_country(c)));
        assert!(lies_in("DE", "EU") && lies_in("DE", "EEA") && lies_in("NO", "EEA") && lies_in("CH", "EFTA"));
        assert!(!lies_in("CH", "EEA") && !lies_in("NO", "EU") && !lies_in("GB", "EU") && !lies_in("DE", "EFTA"));
        assert!(lies_in("US", "US") && !lies_in("US", "EU"));
        assert_eq!((of_aws("eu-central-2"), of_aws("eu-mars-1")), (Some("CH"), None));
    }
}
