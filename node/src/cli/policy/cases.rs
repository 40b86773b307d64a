//! `tests.toml`: questions beside the policies, and the answers that they must get.

use std::{fmt, path::Path, time::Duration};

use orbital::names::{Group, Person, System};
use policy::{Decision, Evaluator};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};

use super::ask::{self, Asked, AskedCaller, AskedPerson, Where, Wish};
use crate::cli::{duration, exit::Failure};

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tests {
    #[serde(default)]
    caller: Vec<CallerTest>,
    #[serde(default)]
    person: Vec<PersonTest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallerTest {
    name: String,
    system: System,
    #[serde(default)]
    caller: String,
    #[serde(deserialize_with = "operation")]
    operation: policy::Operation,
    owner: Option<System>,
    #[serde(default)]
    object: String,
    #[serde(default, deserialize_with = "state")]
    state: policy::ObjectState,
    #[serde(default, deserialize_with = "uses")]
    uses: Vec<u32>,
    #[serde(default)]
    region: String,
    #[serde(default, deserialize_with = "lease")]
    lease_left: Option<Duration>,
    expect: Expect,
    by: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonTest {
    name: String,
    person: Person,
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    home: Where,
    #[serde(default)]
    of: Where,
    #[serde(default, deserialize_with = "kind")]
    propose: Option<String>,
    #[serde(default, deserialize_with = "kind")]
    approve: Option<String>,
    expect: Expect,
    by: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expect {
    Allow,
    Deny,
    Error,
}

/// A word of people, read by the same function as on the command line.
fn worded<'de, D: Deserializer<'de>, T>(d: D, read: fn(&str) -> Result<T, String>) -> Result<T, D::Error> {
    read(&String::deserialize(d)?).map_err(de::Error::custom)
}

fn operation<'de, D: Deserializer<'de>>(d: D) -> Result<policy::Operation, D::Error> {
    worded(d, ask::operation)
}
fn state<'de, D: Deserializer<'de>>(d: D) -> Result<policy::ObjectState, D::Error> {
    worded(d, ask::state)
}
fn lease<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
    worded(d, duration::parse).map(Some)
}
fn kind<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    worded(d, ask::kind).map(Some)
}
fn uses<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u32>, D::Error> {
    let names = Vec::<String>::deserialize(d)?;
    names.iter().map(|name| ask::one_use(name).map_err(de::Error::custom)).collect()
}

/// One test.
pub(super) struct Case {
    name: String,
    asked: Asked,
    expect: Expect,
    by: Option<Vec<String>>,
}

pub(super) fn read(text: &str, path: &Path) -> Result<Vec<Case>, Failure> {
    let failed = |why: String| {
        Failure::usage("the tests do not read").at(path.display()).because(why).fix("correct what is named")
    };
    let tests: Tests = toml::from_str(text).map_err(|e| failed(e.to_string().trim_end().to_owned()))?;
    let callers = tests.caller.into_iter().map(Case::of_caller);
    let cases: Vec<_> =
        callers.chain(tests.person.into_iter().map(Case::of_person)).collect::<Result<_, _>>().map_err(failed)?;
    if cases.is_empty() {
        return Err(failed("there is no test in it".to_owned()).fix("write [[caller]] and [[person]] tests"));
    }
    Ok(cases)
}

impl Case {
    fn of_caller(test: CallerTest) -> Result<Self, String> {
        if test.owner.is_none() && (test.state != policy::ObjectState::None || !test.uses.is_empty()) {
            let name = test.name;
            return Err(format!(
                "the test `{name}` gives `state` or `uses` of no object: a region sees none there; add `owner`"
            ));
        }
        let now = ask::now(Some(test.state), &test.uses);
        let CallerTest { name, system, caller, operation, owner, object, region, lease_left, expect, by, .. } = test;
        let asked = Asked::Caller(AskedCaller { system, caller, operation, owner, object, now, region, lease_left });
        Ok(Self { name, asked, expect, by })
    }

    fn of_person(test: PersonTest) -> Result<Self, String> {
        let PersonTest { name, person, groups, home, of, propose, approve, expect, by } = test;
        let wish = match (propose, approve) {
            (None, None) => Wish::Read,
            (Some(kind), None) => Wish::Propose(kind),
            (None, Some(kind)) => Wish::Approve(kind),
            (Some(_), Some(_)) => return Err(format!("the test `{name}` both proposes and approves; ask one of them")),
        };
        Ok(Self { name, asked: Asked::Person(AskedPerson { person, groups, home, of, wish }), expect, by })
    }

    pub(super) fn run<'c>(&'c self, evaluator: &Evaluator) -> Outcome<'c> {
        Outcome { case: self, found: self.asked.put(evaluator) }
    }
}

/// What became of a test.
pub(super) struct Outcome<'c> {
    case: &'c Case,
    found: Decision,
}

/// How the tests call a decision.
pub(super) fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow { .. } => "allow",
        Decision::Deny { .. } => "deny",
        Decision::Error { .. } => "error",
    }
}

impl Outcome<'_> {
    pub(super) fn passed(&self) -> bool {
        let by = self.case.by.as_deref();
        match (&self.found, self.case.expect) {
            (Decision::Allow { policies }, Expect::Allow) | (Decision::Deny { policies }, Expect::Deny) => {
                by.is_none_or(|by| same(by, policies))
            }
            (Decision::Error { .. }, Expect::Error) => true,
            _ => false,
        }
    }

    fn expected(&self) -> String {
        let word = format!("{:?}", self.case.expect).to_lowercase();
        match self.case.by.as_deref() {
            Some(by) => format!("{word} by {}", by.join(", ")),
            None => word,
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "name": self.case.name, "question": self.case.asked.to_string(), "expected": self.expected(),
            "found": self.found.to_string() })
    }
}

/// Whether two lists name the same policies.
fn same(expected: &[String], found: &[String]) -> bool {
    let mut expected: Vec<_> = expected.iter().collect();
    expected.sort_unstable();
    expected.into_iter().eq(found)
}

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { name, asked, .. } = self.case;
        write!(f, "{name}: {asked}\n  expected  {}\n  found     {}", self.expected(), self.found)
    }
}
