//! The evaluator: asks Cedar, and refuses on every doubt.
//!
//! Cedar skips a policy that errs, so an erring `forbid` would let through what it was written to stop. Here a decision whose
//! diagnostics hold any error is a refusal (PROTOCOL §3), whatever the other policies say.

use std::fmt;

use cedar_policy::{Authorizer, Response};

use crate::{
    bundle::Bundle,
    circumstances::Circumstances,
    pose::{Posed, Wish},
    question::{Actor, Question, Realm},
};

/// The answer, with the `@id`s of the policies that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow {
        policies: Vec<String>,
    },
    /// Without policies: nothing permits it. Otherwise these forbid it.
    Deny {
        policies: Vec<String>,
    },
    /// The question could not be answered without an error, which is a refusal.
    Error {
        reasons: Vec<String>,
    },
}

impl Decision {
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow { policies } => write!(f, "allowed by {}", policies.join(", ")),
            Self::Deny { policies } if policies.is_empty() => f.write_str("denied: no policy permits it"),
            Self::Deny { policies } => write!(f, "denied by {}", policies.join(", ")),
            Self::Error { reasons } => {
                write!(f, "denied, since the policies can't be evaluated: {}", reasons.join("; "))
            }
        }
    }
}

/// One bundle, ready to answer. Answers depend on bundle, question and circumstances alone.
#[derive(Debug)]
pub struct Evaluator {
    pub(crate) bundle: Bundle,
    authorizer: Authorizer,
}

impl Evaluator {
    pub fn new(bundle: Bundle) -> Self {
        Self { bundle, authorizer: Authorizer::new() }
    }

    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Whether the actor may see the realm's state, proposals and audit.
    pub fn may_read(&self, actor: &Actor<'_>, realm: impl Into<Realm>) -> Decision {
        self.governance(actor, Wish::Read, realm.into())
    }

    /// Whether the actor may propose a change of this kind (see [`crate::CHANGE_KINDS`]). An unknown kind is refused.
    pub fn may_propose(&self, actor: &Actor<'_>, kind: &str, realm: impl Into<Realm>) -> Decision {
        self.governance(actor, Wish::Propose(kind), realm.into())
    }

    /// Whether an approval by the actor is taken at all; whether it counts, the trust root's rules say.
    pub fn may_approve(&self, actor: &Actor<'_>, kind: &str, realm: impl Into<Realm>) -> Decision {
        self.governance(actor, Wish::Approve(kind), realm.into())
    }

    /// Whether the caller may do the operation. Costs microseconds; the hot path asks [`crate::DecisionCache`].
    pub fn may_operate(&self, question: &Question<'_>, circumstances: &Circumstances<'_>) -> Decision {
        let Bundle { schema, entities, vocabulary, .. } = &self.bundle;
        self.ask(vocabulary.region(schema, entities, question, circumstances))
    }

    fn governance(&self, actor: &Actor<'_>, wish: Wish<'_>, realm: Realm) -> Decision {
        let Bundle { schema, entities, vocabulary, .. } = &self.bundle;
        self.ask(vocabulary.governance(schema, entities, actor, wish, realm))
    }

    fn ask(&self, posed: Result<Posed, String>) -> Decision {
        match posed {
            Ok(Posed { request, entities }) => {
                decision(&self.authorizer.is_authorized(&request, &self.bundle.policies, &entities))
            }
            Err(reason) => Decision::Error { reasons: vec![reason] },
        }
    }
}

/// Any error of an evaluation refuses.
#[cfg(not(mutant = "policy_error"))]
fn refuses(errors: &[String]) -> bool {
    !errors.is_empty()
}
#[cfg(mutant = "policy_error")]
fn refuses(_errors: &[String]) -> bool {
    false
}

/// Errors first: they win over both verdicts.
fn decision(response: &Response) -> Decision {
    let sorted = |texts: &mut dyn Iterator<Item = String>| {
        let mut texts: Vec<String> = texts.collect();
        texts.sort_unstable();
        texts
    };
    let reasons = sorted(&mut response.diagnostics().errors().map(ToString::to_string));
    if refuses(&reasons) {
        return Decision::Error { reasons };
    }
    let policies = sorted(&mut response.diagnostics().reason().map(ToString::to_string));
    match response.decision() {
        cedar_policy::Decision::Allow => Decision::Allow { policies },
        cedar_policy::Decision::Deny => Decision::Deny { policies },
    }
}
