//! A question to a bundle, in people's words: from the command line or from a test.

use std::{fmt, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use orbital::names::{Digest, Group, Person, System, TenantId};
use policy::{
    Actor, CHANGE_KINDS, Circumstances, Decision, Evaluator, LEASE_S_MAX, ObjectNow, ObjectState, Operation, Question,
    Realm, Target, USES,
};
use serde::Deserialize;

use crate::cli::{duration, exit::Failure};

/// `kcm policy what-if`.
#[derive(Clone, Debug, Args)]
pub struct WhatIf {
    /// The folder of policies
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The system of a KMIP caller
    #[arg(long, requires = "operation", conflicts_with = "group")]
    system: Option<System>,
    /// The label of the caller's certificate
    #[arg(long, value_name = "LABEL", requires = "system")]
    caller: Option<String>,
    /// What the caller does, such as get
    #[arg(long, requires = "system", value_parser = operation)]
    operation: Option<Operation>,
    /// The system that made the object
    #[arg(long, value_name = "SYSTEM", requires = "system")]
    owner: Option<System>,
    /// The object's Unique Identifier
    #[arg(long, value_name = "ID", requires = "owner")]
    object: Option<String>,
    /// The object's state, such as Active
    #[arg(long, requires = "owner", value_parser = state)]
    state: Option<ObjectState>,
    /// A use of the object's mask, such as Encrypt
    #[arg(long = "use", value_name = "USE", requires = "owner", value_parser = one_use)]
    uses: Vec<u32>,
    /// The region that is asked
    #[arg(long, requires = "system")]
    region: Option<String>,
    /// What is left of the tenant's lease there [default: no end]
    #[arg(long, value_name = "DURATION", requires = "system", value_parser = duration::parse)]
    lease_left: Option<Duration>,
    /// A group of the person (--as)
    #[arg(long)]
    group: Vec<Group>,
    /// The trust root that lists the person
    #[arg(long, value_enum, default_value_t)]
    home: Where,
    /// The trust root that is to change, or to be read
    #[arg(long, value_enum, default_value_t)]
    of: Where,
    /// The kind of change that the person proposes [default: the person reads]
    #[arg(long, value_name = "KIND", conflicts_with = "system", value_parser = kind)]
    propose: Option<String>,
    /// The kind of change that the person approves
    #[arg(long, value_name = "KIND", conflicts_with_all = ["system", "propose"], value_parser = kind)]
    approve: Option<String>,
}

/// A trust root, as seen from the tenant whose policies are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Where {
    /// This tenant's
    #[default]
    Tenant,
    /// The operators' own
    Site,
    /// Another tenant's
    Other,
}

impl Where {
    fn realm(self) -> Realm {
        match self {
            Self::Tenant => Realm::Tenant(TENANT),
            Self::Site => Realm::Site,
            Self::Other => Realm::Tenant(TenantId(Digest([2; 32]))),
        }
    }
}

/// Stands for the tenant of the bundle: nothing but equality of ids can be asked.
const TENANT: TenantId = TenantId(Digest([1; 32]));

impl WhatIf {
    pub(super) fn question(self, person: Option<Person>) -> Result<Asked, Failure> {
        if let (Some(system), Some(operation)) = (self.system, self.operation) {
            if self.owner.is_none() && !operation.on_system() {
                return Err(Failure::usage(format!("{operation} is about an object"))
                    .because("without --owner the question is about none")
                    .fix("add --owner SYSTEM: the system that made the object"));
            }
            if self.owner.is_some() && !operation.on_object() {
                return Err(Failure::usage(format!("{operation} is about no object"))
                    .because("--owner names the system that made one")
                    .fix("leave --owner out"));
            }
            return Ok(Asked::Caller(AskedCaller {
                system,
                caller: self.caller.unwrap_or_default(),
                operation,
                owner: self.owner,
                object: self.object.unwrap_or_default(),
                now: now(self.state, &self.uses),
                region: self.region.unwrap_or_default(),
                lease_left: self.lease_left,
            }));
        }
        let Some(person) = person else {
            return Err(Failure::usage("nobody asks")
                .because("neither --system with --operation nor --as PERSON is given")
                .fix("see the examples of `kcm policy what-if --help`"));
        };
        let wish = match (self.propose, self.approve) {
            (Some(kind), _) => Wish::Propose(kind),
            (None, Some(kind)) => Wish::Approve(kind),
            (None, None) => Wish::Read,
        };
        Ok(Asked::Person(AskedPerson { person, groups: self.group, home: self.home, of: self.of, wish }))
    }
}

pub(super) fn now(state: Option<ObjectState>, uses: &[u32]) -> ObjectNow {
    ObjectNow { state: state.unwrap_or_default(), usage_mask: uses.iter().fold(0, |mask, bit| mask | bit) }
}

pub(super) fn operation(text: &str) -> Result<Operation, String> {
    let known = || Operation::ALL.iter().map(|o| o.action()).collect::<Vec<_>>().join(", ");
    let found = Operation::ALL.iter().copied().find(|operation| operation.action() == text);
    found.ok_or_else(|| format!("`{text}` is no operation; known are {}", known()))
}

pub(super) fn state(text: &str) -> Result<ObjectState, String> {
    let known = || ObjectState::ALL.map(ObjectState::name).join(", ");
    let found = ObjectState::ALL.into_iter().find(|state| state.name() == text);
    found.ok_or_else(|| format!("`{text}` is no state; known are {}", known()))
}

/// The bit of a use.
pub(super) fn one_use(text: &str) -> Result<u32, String> {
    let found = USES.iter().position(|name| *name == text);
    found.map(|bit| 1 << bit).ok_or_else(|| format!("`{text}` is no use; known are {}", USES.join(", ")))
}

pub(super) fn kind(text: &str) -> Result<String, String> {
    let found = CHANGE_KINDS.iter().find(|kind| **kind == text);
    let unknown = || format!("`{text}` is no kind of change; known are {}", CHANGE_KINDS.join(", "));
    found.map(|kind| (*kind).to_owned()).ok_or_else(unknown)
}

/// A question that can be put.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Caller(AskedCaller),
    Person(AskedPerson),
}

#[derive(Clone, Debug)]
pub(super) struct AskedCaller {
    pub(super) system: System,
    pub(super) caller: String,
    pub(super) operation: Operation,
    pub(super) owner: Option<System>,
    pub(super) object: String,
    pub(super) now: ObjectNow,
    pub(super) region: String,
    pub(super) lease_left: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(super) struct AskedPerson {
    pub(super) person: Person,
    pub(super) groups: Vec<Group>,
    pub(super) home: Where,
    pub(super) of: Where,
    pub(super) wish: Wish,
}

#[derive(Clone, Debug)]
pub(super) enum Wish {
    Read,
    Propose(String),
    Approve(String),
}

impl Asked {
    pub(super) fn put(&self, evaluator: &Evaluator) -> Decision {
        match self {
            Self::Caller(asked) => asked.put(evaluator),
            Self::Person(asked) => asked.put(evaluator),
        }
    }
}

impl AskedCaller {
    fn put(&self, evaluator: &Evaluator) -> Decision {
        let target = match &self.owner {
            Some(owner) => Target::Object { id: &self.object, owner },
            None => Target::OwnSystem,
        };
        let (system, caller, operation) = (&self.system, self.caller.as_str(), self.operation);
        let question = Question { tenant: TENANT, system, caller, operation, target };
        let lease_left_s = self.lease_left.map_or(LEASE_S_MAX, |left| left.as_secs());
        evaluator.may_operate(&question, &Circumstances { region: &self.region, object: self.now, lease_left_s })
    }
}

impl AskedPerson {
    fn put(&self, evaluator: &Evaluator) -> Decision {
        let actor = Actor { person: &self.person, home: self.home.realm(), groups: &self.groups };
        match &self.wish {
            Wish::Read => evaluator.may_read(&actor, self.of.realm()),
            Wish::Propose(kind) => evaluator.may_propose(&actor, kind, self.of.realm()),
            Wish::Approve(kind) => evaluator.may_approve(&actor, kind, self.of.realm()),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(AskedCaller { system, operation, owner: None, .. }) => write!(f, "May {system} {operation}?"),
            Self::Caller(AskedCaller { system, operation, owner: Some(owner), now, .. }) => {
                write!(f, "May {system} {operation} an object of {owner} in the state {}?", now.state.name())
            }
            Self::Person(AskedPerson { person, wish: Wish::Read, .. }) => write!(f, "May {person} read?"),
            Self::Person(AskedPerson { person, wish: Wish::Propose(kind), .. }) => {
                write!(f, "May {person} propose {kind}?")
            }
            Self::Person(AskedPerson { person, wish: Wish::Approve(kind), .. }) => {
                write!(f, "May {person} approve {kind}?")
            }
        }
    }
}
