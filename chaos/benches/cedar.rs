//! A decision of Cedar as the product asks it, against a bare `Authorizer::is_authorized` over the same policies.
//!
//! Bare means: request and entities are made once, beforehand. The product makes them anew from each question, checks them against the
//! schema, and reads the answer; a region keeps its decisions.

mod common;

use std::{convert::Infallible, sync::Arc};

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, Schema};
use common::{
    Args, Res, paper,
    versus::{self, Side},
};
use orbital::names::{Digest, Group, Person, System, TenantId};
use policy::{
    Actor, Bundle, Circumstances, DecisionCache, Evaluator, ObjectNow, ObjectState, Operation, Question, Target,
};
use serde_json::{Value, json};

const ROUNDS: usize = 10;
/// Of each side in a round.
const SAMPLES: usize = 2_000;
/// Decisions of one sample where one alone is shorter than the clock's own time.
const BATCH: usize = 100;
/// All policies of the large set.
const POLICIES: usize = 100;
const NOW: Circumstances<'static> = Circumstances {
    region: "eu",
    object: ObjectNow { state: ObjectState::Active, usage_mask: 0b1100 },
    lease_left_s: 3_600,
};

fn main() -> Res<()> {
    let rounds = Args::read().number("rounds", ROUNDS)?;
    let default = Bundle::default_bundle()?;
    let large = large(&default)?;
    let mut lines = Vec::new();
    for bundle in [default, large] {
        lines.extend(rows(bundle, rounds)?);
    }
    publish(&lines, rounds)
}

/// The default policies and those of a tenant that guards many systems and groups one by one, none of which are asked about.
fn large(default: &Bundle) -> Res<Bundle> {
    let mut text = default.policies_text().to_owned();
    for number in default.policy_ids().len()..POLICIES {
        text.push_str(&match number % 2 {
            0 => format!(
                "@id(\"guard-{number}\") forbid (principal is Client, action in Action::\"operate\", resource is KeyObject)\n\
                 when {{ principal.system == System::\"system-{number}\" }};\n"
            ),
            _ => format!(
                "@id(\"guard-{number}\") forbid (principal is Person in Group::\"group-{number}\", action in Action::\"approve\", resource);\n"
            ),
        });
    }
    Ok(Bundle::parse_strict(default.schema_text(), &text, default.entities_text())?)
}

/// One question to Cedar, ready.
struct Bare {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    request: Request,
}

impl Bare {
    fn new(bundle: &Bundle, asked: [String; 3], context: Value, entities: Value) -> Res<Self> {
        let (schema, _) = Schema::from_cedarschema_str(bundle.schema_text())?;
        let [principal, action, resource] = asked;
        let [principal, action, resource]: [EntityUid; 3] = [principal.parse()?, action.parse()?, resource.parse()?];
        let context = Context::from_json_value(context, Some((&schema, &action)))?;
        Ok(Self {
            authorizer: Authorizer::new(),
            policies: bundle.policies_text().parse()?,
            entities: Entities::from_json_value(entities, Some(&schema))?,
            request: Request::new(principal, action, resource, context, Some(&schema))?,
        })
    }

    fn allows(&self) -> bool {
        self.authorizer.is_authorized(&self.request, &self.policies, &self.entities).decision() == Decision::Allow
    }
}

fn rows(bundle: Bundle, rounds: usize) -> Res<Vec<String>> {
    let count = bundle.policy_ids().len();
    let (tenant, system, person) = (TenantId(Digest([7; 32])), System::new("orders")?, Person::new("carol")?);
    let groups = [Group::new("Senior_Leadership")?];
    let entity = |kind: &str, id: &str| json!({ "__entity": { "type": kind, "id": id } });
    let home = entity("Tenant", &tenant.to_string());
    let approval = Bare::new(
        &bundle,
        ["Person::\"carol\"".into(), "Action::\"approve:RevokeL1\"".into(), format!("Tenant::\"{tenant}\"")],
        json!({}),
        json!([{
            "uid": { "type": "Person", "id": "carol" }, "parents": [{ "type": "Group", "id": "Senior_Leadership" }],
            "attrs": { "home": home, "groups": [entity("Group", "Senior_Leadership")] },
        }]),
    )?;
    let owned = |kind: &str, id: &str, by: &str| json!({ "uid": { "type": kind, "id": id }, "parents": [], "attrs": { "tenant": home, by: entity("System", "orders") } });
    let operation = Bare::new(
        &bundle,
        ["Client::\"client-1\"".into(), "Action::\"encrypt\"".into(), "KeyObject::\"object-1\"".into()],
        json!({
            "region": NOW.region, "lease_left_s": NOW.lease_left_s, "state": entity("State", "Active"),
            "usage_mask": [entity("Usage", "Encrypt"), entity("Usage", "Decrypt")],
        }),
        json!([owned("Client", "client-1", "system"), owned("KeyObject", "object-1", "owner")]),
    )?;
    let evaluator = Arc::new(Evaluator::new(bundle));
    let cache = DecisionCache::new(1, Arc::clone(&evaluator));
    let actor = Actor { person: &person, home: tenant.into(), groups: &groups };
    let target = Target::Object { id: "object-1", owner: &system };
    let asked = Question { tenant, system: &system, caller: "client-1", operation: Operation::Encrypt, target };
    let approves = || evaluator.may_approve(&actor, "RevokeL1", tenant).is_allowed();
    let operates = || evaluator.may_operate(&asked, &NOW).is_allowed();
    let kept = || matches!(cache.permit(&asked, || Ok::<_, Infallible>(NOW)), Ok(Ok(_)));
    let forms: [(&str, usize, &dyn Fn() -> bool, &Bare); 3] = [
        ("governance: may carol approve a RevokeL1", 1, &approves, &approval),
        ("region: Encrypt, asked of Cedar", 1, &operates, &operation),
        ("region: Encrypt, decided before (each KMIP request)", BATCH, &kept, &operation),
    ];
    let row = |(what, batch, ours, bare): (&str, usize, &dyn Fn() -> bool, &Bare)| {
        let (ours, bare) =
            (Side { does: ours, times: batch, over: batch }, Side { does: &|| bare.allows(), times: 1, over: 1 });
        Ok(format!("| {count} | {what} | {} |", versus::cells(&ours, &bare, (rounds, SAMPLES), 3)?))
    };
    forms.into_iter().map(row).collect()
}

fn publish(lines: &[String], rounds: usize) -> Res<()> {
    let text = format!(
        "One thread. The default policies are those that a tenant starts with; the large set has {POLICIES}, the others each forbidding something to\n\
         one more system or group than the one that asks. Bare is cedar-policy's `Authorizer::is_authorized` over the same policies, with request\n\
         and entities made beforehand and unchecked answers; the product makes them from each question and checks them against the schema. Decided before: from\n\
         the region's table, in samples of {BATCH}. {rounds} rounds of {SAMPLES} samples of each side; ratios are of p50 within one round: median (lowest-highest).\n\n\
         | policies | question | p50 / p99 us | bare p50 / p99 us | p50, times bare's |\n|---|---|---|---|---|\n{}",
        lines.join("\n")
    );
    paper::publish("cedar", "A decision of policy", &text)
}
