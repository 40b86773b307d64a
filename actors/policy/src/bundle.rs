//! A bundle: the policies, schema and entities of one tenant, strictly validated, and the digest that the trust root names.
//!
//! The three texts are kept as they were written, since people approve what they read. A text holds printable ASCII, newline and tab
//! only: no character that looks like another, runs backwards or can't be seen. All findings come at once. A bundle must also be able
//! to pose every question of the product (its schema may add words, not drop them), or an approved bundle could lock everyone out.

use std::{collections::BTreeSet, fmt};

use cedar_policy::{
    Entities, PolicyId, PolicySet, Schema, ValidationMode, Validator, ffi::DetailedError,
    ffi::JsonValueWithNoDuplicateKeys, get_lang_version,
};
use orbital::names::{Digest, Person, System, TenantId};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use sha2::{Digest as _, Sha256};

use crate::{
    circumstances::{Circumstances, ObjectNow, ObjectState},
    finding::{Finding, Part, PolicyError},
    pose::{MADE_HERE, Vocabulary, Wish, sentence},
    question::{Actor, CHANGE_KINDS, Operation, Question, Realm, Target},
    reach::Reach,
    text,
};

/// Most policies of a bundle.
pub const POLICIES_MAX: usize = 256;
/// Most entities that a bundle may state.
pub const ENTITIES_MAX: usize = 256;
/// Most actions that a schema may declare.
pub const ACTIONS_MAX: usize = 256;

/// Most combinations of an action with a type of principal and one of resource: Cedar checks each policy in each of them.
pub const ENVIRONMENTS_MAX: usize = 512;
/// Most checks of one policy in one combination.
pub const CHECKS_MAX: usize = 65_536;

const FORMAT: &str = "1";
const DOMAIN: &[u8] = b"openkcm/policy/v1\0";

/// Policies that passed strict validation against their schema. No other kind exists.
pub struct Bundle {
    source: Source,
    canonical: Vec<u8>,
    digest: Digest,
    pub(crate) schema: Schema,
    pub(crate) policies: PolicySet,
    pub(crate) entities: Entities,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) reach: Reach,
}

/// The canonical form: RFC 8785, so the members stand in the order of their names; all values are strings.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Source {
    entities: String,
    format: String,
    language: String,
    policies: String,
    schema: String,
}

impl Bundle {
    /// What a tenant starts with: see the texts in `bundle/`.
    ///
    /// # Errors
    /// None in a tested build: the texts are part of the program.
    pub fn default_bundle() -> Result<Self, PolicyError> {
        Self::parse_strict(
            include_str!("../bundle/kcm.cedarschema"),
            concat!(include_str!("../bundle/governance.cedar"), "\n", include_str!("../bundle/region.cedar")),
            include_str!("../bundle/entities.json"),
        )
    }

    /// Reads a bundle: schema and policies in Cedar's own syntax, entities in its JSON format.
    ///
    /// # Errors
    /// [`PolicyError::Invalid`] with all findings, Cedar's warnings among them: a policy that can never apply is not what its author meant.
    pub fn parse_strict(schema: &str, policies: &str, entities: &str) -> Result<Self, PolicyError> {
        let texts = [(Part::Schema, schema), (Part::Policies, policies), (Part::Entities, entities)];
        PolicyError::unless_empty(texts.iter().filter_map(|(part, text)| text::finding(*part, text)).collect())?;

        let mut findings = Vec::new();
        let read_schema = keep(&mut findings, schema_of(schema));
        let read_policies = keep(&mut findings, policies_of(policies));
        let read_entities = keep(&mut findings, entities_of(entities, read_schema.as_ref()));
        let (Some(read_schema), Some(read_policies)) = (read_schema, read_policies) else {
            return Err(PolicyError::invalid(findings));
        };
        PolicyError::unless_empty(too_much_to_check(&read_schema, &read_policies).into_iter().collect())?;
        findings.extend(validation_findings(&read_schema, &read_policies, policies));
        let vocabulary = Vocabulary::new()?;
        findings.extend(contract_findings(&vocabulary, &read_schema));
        PolicyError::unless_empty(findings)?;

        let source = Source {
            entities: entities.to_owned(),
            format: FORMAT.to_owned(),
            language: get_lang_version().to_string(),
            policies: policies.to_owned(),
            schema: schema.to_owned(),
        };
        let canonical = canonical_of(&source)?;
        Ok(Self {
            digest: digest_of(&canonical),
            canonical,
            source,
            schema: read_schema,
            reach: Reach::of(&read_policies),
            policies: read_policies,
            entities: read_entities.unwrap_or_default(),
            vocabulary,
        })
    }

    /// Reads the bytes of [`Bundle::canonical`], as governance stores them and a directive carries them, and validates again.
    ///
    /// # Errors
    /// Anything but the exact canonical bytes of a valid bundle in this program's version of Cedar is refused.
    pub fn parse_canonical(bytes: &[u8]) -> Result<Self, PolicyError> {
        let source: Source =
            serde_json::from_slice(bytes).map_err(|error| PolicyError::Unreadable { reason: error.to_string() })?;
        if source.format != FORMAT {
            return Err(PolicyError::OtherFormat { found: source.format, known: FORMAT });
        }
        let ours = get_lang_version().to_string();
        if source.language != ours {
            return Err(PolicyError::OtherLanguage { found: source.language, ours });
        }
        if canonical_of(&source)? != bytes {
            return Err(PolicyError::NotCanonical);
        }
        Self::parse_strict(&source.schema, &source.policies, &source.entities)
    }

    /// RFC 8785 JSON of the three texts, the format and the version of the Cedar language.
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// SHA-256 of `"openkcm/policy/v1" 0x00` and the canonical bytes (PROTOCOL §2): what a trust root names.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The names of the policies, sorted.
    pub fn policy_ids(&self) -> Vec<String> {
        let mut ids: Vec<_> = self.policies.policies().map(|policy| policy.id().to_string()).collect();
        ids.sort_unstable();
        ids
    }

    /// The text of one policy, under the name that decisions give it.
    pub fn policy_text(&self, id: &str) -> Option<String> {
        self.policies.policy(&PolicyId::new(id)).map(ToString::to_string)
    }

    pub fn schema_text(&self) -> &str {
        &self.source.schema
    }
    pub fn policies_text(&self) -> &str {
        &self.source.policies
    }
    pub fn entities_text(&self) -> &str {
        &self.source.entities
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bundle({}, {} policies)", self.digest, self.policies.num_of_policies())
    }
}

fn keep<T>(findings: &mut Vec<Finding>, read: Result<T, Vec<Finding>>) -> Option<T> {
    read.map_err(|found| findings.extend(found)).ok()
}

fn canonical_of(source: &Source) -> Result<Vec<u8>, PolicyError> {
    serde_json::to_vec(source).map_err(|error| PolicyError::Unreadable { reason: error.to_string() })
}

fn digest_of(canonical: &[u8]) -> Digest {
    Digest(Sha256::new().chain_update(DOMAIN).chain_update(canonical).finalize().into())
}

fn schema_of(text: &str) -> Result<Schema, Vec<Finding>> {
    let found = |detail: &DetailedError| Finding::from_cedar(Part::Schema, text, detail);
    let (schema, warnings) = Schema::from_cedarschema_str(text).map_err(|error| found(&DetailedError::from(&error)))?;
    let mut findings: Vec<_> = warnings.flat_map(|warning| found(&DetailedError::from(&warning))).collect();
    let actions = schema.actions().count();
    if actions > ACTIONS_MAX {
        let message = format!("{actions} actions, at most {ACTIONS_MAX} are allowed");
        findings.push(Finding::new(Part::Schema, message, "drop what no policy names"));
    }
    if findings.is_empty() { Ok(schema) } else { Err(findings) }
}

/// Two lines of a schema can declare a million combinations, and one person can propose them.
fn too_much_to_check(schema: &Schema, policies: &PolicySet) -> Option<Finding> {
    let types = |action| {
        let principals = schema.principals_for_action(action).map_or(0, Iterator::count);
        let resources = schema.resources_for_action(action).map_or(0, Iterator::count);
        principals.saturating_mul(resources)
    };
    let environments = schema.actions().map(types).fold(0_usize, usize::saturating_add);
    let checks = environments.saturating_mul(policies.num_of_policies());
    if environments > ENVIRONMENTS_MAX {
        let message = format!(
            "the actions apply to {environments} combinations of principal and resource types, at most {ENVIRONMENTS_MAX} are allowed"
        );
        return Some(Finding::new(Part::Schema, message, "let each action apply to the types that it is asked about"));
    }
    let message = format!(
        "{} policies in {environments} combinations of action, principal and resource type are {checks} checks, at most {CHECKS_MAX} are \
         allowed",
        policies.num_of_policies()
    );
    (checks > CHECKS_MAX).then(|| Finding::new(Part::Policies, message, "merge policies, or drop what the schema adds"))
}

/// The policies under the ids that their `@id` gives them: a decision names these.
fn policies_of(text: &str) -> Result<PolicySet, Vec<Finding>> {
    let parsed: PolicySet =
        text.parse().map_err(|error| Finding::from_cedar(Part::Policies, text, &DetailedError::from(&error)))?;
    let mut findings = Vec::new();
    if parsed.num_of_templates() > 0 {
        let message = format!("{} policies have slots (`?principal`, `?resource`)", parsed.num_of_templates());
        findings.push(Finding::new(Part::Policies, message, "write the policy out: nothing fills a slot here"));
    }
    if parsed.num_of_policies() > POLICIES_MAX {
        let message = format!("{} policies, at most {POLICIES_MAX} are allowed", parsed.num_of_policies());
        findings.push(Finding::new(Part::Policies, message, "merge policies"));
    }
    let mut named = PolicySet::new();
    for policy in parsed.policies() {
        let Some(id) = policy.annotation("id").filter(|id| !id.is_empty()) else {
            let message = format!("`{}` has no name", policy.to_string().lines().next().unwrap_or_default());
            findings.push(Finding::new(Part::Policies, message, "write @id(\"NAME\") before it: decisions name it"));
            continue;
        };
        if named.add(policy.new_id(PolicyId::new(id))).is_err() {
            let message = format!("two policies are named `{id}`");
            findings.push(Finding::new(Part::Policies, message, "give each its own @id"));
        }
    }
    if findings.is_empty() { Ok(named) } else { Err(findings) }
}

fn entities_of(text: &str, schema: Option<&Schema>) -> Result<Entities, Vec<Finding>> {
    let wrong = |message: String| vec![Finding::new(Part::Entities, message, "see the schema for what may be stated")];
    serde_json::from_str::<JsonValueWithNoDuplicateKeys>(text).map_err(|error| wrong(error.to_string()))?;
    // Counted before Cedar follows the parents of each.
    let stated = serde_json::from_str::<Vec<IgnoredAny>>(text).map_err(|error| wrong(error.to_string()))?.len();
    if stated > ENTITIES_MAX {
        return Err(wrong(format!("{stated} entities, at most {ENTITIES_MAX} are allowed")));
    }
    let entities = Entities::from_json_str(text, schema).map_err(|error| wrong(sentence(&error)))?;
    let mut findings = Vec::new();
    for entity in entities.iter().map(cedar_policy::Entity::uid) {
        if MADE_HERE.contains(&entity.type_name().to_string().as_str()) {
            let message = format!("`{entity}` may not be stated: it is made from the trust root for each question");
            findings.push(Finding::new(
                Part::Entities,
                message,
                "remove it; persons and callers change by their own proposals",
            ));
        }
    }
    if findings.is_empty() { Ok(entities) } else { Err(findings) }
}

fn validation_findings(schema: &Schema, policies: &PolicySet, text: &str) -> Vec<Finding> {
    let result = Validator::new(schema.clone()).validate(policies, ValidationMode::Strict);
    let errors = result.validation_errors().map(DetailedError::from);
    let warnings = result.validation_warnings().map(DetailedError::from);
    errors.chain(warnings).flat_map(|detail| Finding::from_cedar(Part::Policies, text, &detail)).collect()
}

/// Poses every question once, under the schema alone; what does not fit would lock somebody out later.
fn contract_findings(vocabulary: &Vocabulary, schema: &Schema) -> Vec<Finding> {
    let (Ok(person), Ok(system)) = (Person::new("probe"), System::new("probe")) else { return Vec::new() };
    let tenant = TenantId(Digest([0; 32]));
    let base = Entities::empty();
    let actor = Actor { person: &person, home: Realm::Tenant(tenant), groups: &[] };
    let kinds = CHANGE_KINDS.iter().flat_map(|kind| [Wish::Propose(kind), Wish::Approve(kind)]);
    let people = std::iter::once(Wish::Read)
        .chain(kinds)
        .filter_map(|wish| vocabulary.governance(schema, &base, &actor, wish, actor.home).err());
    let on_object = Operation::ALL.iter().filter(|operation| operation.on_object());
    let on_system = Operation::ALL.iter().filter(|operation| operation.on_system());
    let questions = on_object
        .map(|&operation| (operation, Target::Object { id: "probe", owner: &system }))
        .chain(on_system.map(|&operation| (operation, Target::OwnSystem)));
    let now = |state| ObjectNow { state, usage_mask: u32::MAX };
    // Which states there are, one operation tells for all: they are of one type.
    let get = (Operation::Get, Target::Object { id: "probe", owner: &system });
    let in_each_state = ObjectState::ALL.map(|state| (get, now(state)));
    let callers = questions.map(|asked| (asked, now(ObjectState::None))).chain(in_each_state);
    let callers = callers.filter_map(|((operation, target), object)| {
        let question = Question { tenant, system: &system, caller: "probe", operation, target };
        vocabulary.region(schema, &base, &question, &Circumstances { object, ..Circumstances::UNSEEN }).err()
    });
    let help = "keep the vocabulary of the default schema; words may be added";
    let messages: BTreeSet<String> = people.chain(callers).collect();
    messages.into_iter().map(|message| Finding::new(Part::Schema, message, help)).collect()
}
