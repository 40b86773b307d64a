//! T0201, T0202, T0204: no key of a tenant may be unsealed where its residency rule does not allow.

use crate::{
    file::{File, L1, Provider, Residency},
    finding::{At, Code, Finding, Place},
    places,
    reader::{Name, wrong},
    suggest::did_you_mean,
};

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    for (name, rule) in file.rules() {
        allow(name, rule, findings);
    }
    for (name, region) in file.regions() {
        let Some(jurisdiction) = &region.value.jurisdiction else { continue };
        country(jurisdiction.value.as_str(), &jurisdiction.place, findings);
        for rule in rules_of(file, region.value.residency.as_ref()) {
            lies_where_allowed(name.value.as_str(), jurisdiction, &rule, findings);
            for used in region.value.l1.iter().flat_map(|list| &list.value) {
                let l1 = file.l1s().iter().find(|(name, _)| name.value == used.value);
                if let Some((_, l1)) = l1 {
                    unseals_where_allowed(used, l1, &rule, findings);
                }
            }
        }
    }
    for jurisdiction in file.l1s().iter().filter_map(|(_, l1)| l1.value.jurisdiction.as_ref()) {
        country(jurisdiction.value.as_str(), &jurisdiction.place, findings);
    }
}

/// A rule that a region names, with its list.
struct Rule<'a> {
    name: &'a str,
    allow: &'a At<Vec<At<String>>>,
}

impl Rule<'_> {
    fn allows(&self, country: &str) -> bool {
        self.allow.value.iter().any(|place| places::lies_in(country, &place.value))
    }
    fn listed(&self) -> String {
        let places: Vec<&str> = self.allow.value.iter().map(|p| p.value.as_str()).collect();
        if places.is_empty() { "nothing".into() } else { places.join(", ") }
    }
}

fn rules_of<'a>(file: &'a File, names: Option<&'a At<Vec<At<Name>>>>) -> Vec<Rule<'a>> {
    let named = |name: &At<Name>| file.rules().iter().find(|(rule, _)| rule.value == name.value);
    let rule = |(name, rule): &'a (At<Name>, At<Residency>)| {
        rule.value.allow.as_ref().map(|allow| Rule { name: &name.value.0, allow })
    };
    names.iter().flat_map(|list| &list.value).filter_map(named).filter_map(rule).collect()
}

fn allow(name: &At<Name>, rule: &At<Residency>, findings: &mut Vec<Finding>) {
    let Some(list) = &rule.value.allow else { return };
    if list.value.is_empty() {
        let message = format!(
            "`allow = []` of residency rule `{}` admits no place: every key of the rule would be locked",
            name.value.0
        );
        let help = "List countries (ISO 3166, such as \"DE\") or the sets EU, EEA, EFTA; to stop a tenant, revoke its key instead.";
        findings.push(Finding::new(Code::EmptyAllow, message, help).at(&list.place, "empty"));
    }
    for place in &list.value {
        if !places::is_country(&place.value) && !places::SETS.contains(&place.value.as_str()) {
            let near = near(&place.value);
            let mut finding = wrong(&place.place, &format!("names `{}`, which is no place{near}", place.value));
            finding.help =
                "Write an ISO 3166 country code in capitals, such as \"DE\", or one of the sets EU, EEA, EFTA.".into();
            findings.push(finding);
        }
    }
}

fn country(code: &str, place: &Place, findings: &mut Vec<Finding>) {
    if places::is_country(code) {
        return;
    }
    let near = near(code);
    let mut finding = wrong(place, &format!("must be a country, found `{code}`{near}"));
    finding.help = "Write the ISO 3166 code of the one country in which it lies, in capitals, such as \"DE\".".into();
    findings.push(finding);
}

/// Codes of two letters are all near each other: only another spelling of one is worth naming, and the three sets.
fn near(code: &str) -> String {
    let capitals = code.to_uppercase();
    match places::is_country(&capitals) {
        true => format!("; did you mean `{capitals}`?"),
        false => did_you_mean(code, places::SETS.iter().copied()),
    }
}

fn lies_where_allowed(
    region: &str,
    jurisdiction: &At<orbital::names::Jurisdiction>,
    rule: &Rule<'_>,
    findings: &mut Vec<Finding>,
) {
    let country = jurisdiction.value.as_str();
    // An empty list and a word that is no country have findings of their own.
    if rule.allows(country) || rule.allow.value.is_empty() || !places::is_country(country) {
        return;
    }
    let name = rule.name;
    let message = format!("region `{region}` lies in {country}, which its residency rule `{name}` does not allow");
    let help = format!(
        "keys of `{name}` could be unsealed in {country}. Move the region, take the rule off it, or (needs two approvals) widen `allow`."
    );
    let finding = Finding::new(Code::Residency, message, help);
    findings.push(finding.at(&jurisdiction.place, "this jurisdiction").at(&rule.allow.place, "is not in this list"));
}

fn unseals_where_allowed(used: &At<Name>, l1: &At<L1>, rule: &Rule<'_>, findings: &mut Vec<Finding>) {
    let region =
        l1.value.region.as_ref().filter(|_| l1.value.provider.as_ref().is_some_and(|p| p.value == Provider::AwsKms));
    let by_aws = region.and_then(|r| places::of_aws(&r.value).map(|country| (country, &r.place)));
    let said = l1.value.jurisdiction.as_ref().map(|j| (j.value.as_str(), &j.place));
    let Some((country, place)) = by_aws.or(said) else { return };
    if rule.allows(country) || rule.allow.value.is_empty() || !places::is_country(country) {
        return;
    }
    let lies = region.map_or(country.to_owned(), |r| format!("{} ({country})", r.value));
    let message = format!("L1 `{}` lies in {lies}; rule `{}` allows {}", used.value.0, rule.name, rule.listed());
    let help = "Link a key that lies where the rule allows, or (needs two approvals) widen `allow`.";
    let finding = Finding::new(Code::L1Residency, message, help);
    findings.push(
        finding.at(&used.place, "used here").at(place, "lies outside").at(&rule.allow.place, "what this list allows"),
    );
}
