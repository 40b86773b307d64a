//! Held: which trust version a region holds, signed by its report key over a nonce of whoever asks (PROTOCOL §3).
//!
//! Governance says what it wants to; a region's own word, fresh and signed, is what people compare it with. It moves nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    canon::{self, Malformed},
    names::{Deployment, Digest, Region, TenantId},
    report::BadAck,
    sign::{Kind, PublicKey, SecretKey, Signed},
};

/// The question. The nonce is the asker's, 16 bytes as base64url, and never used twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    pub tenant: TenantId,
    pub nonce: String,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    pub domain: String,
    pub deployment: Deployment,
    pub tenant: TenantId,
    pub region: Region,
    pub nonce: String,
    #[serde(with = "canon::decimal")]
    pub version: u64,
    /// Digest of the trust root in force.
    pub trust: Digest,
    /// Second successors that freeze the tenant there.
    pub forked: BTreeSet<Digest>,
    /// The region's wall clock, Unix microseconds.
    #[serde(with = "canon::decimal")]
    pub at_us: u64,
}

/// An answer that proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHeld {
    #[error(transparent)]
    Bad(#[from] BadAck),
    #[error("it answers for another {0}")]
    Elsewhere(&'static str),
}

impl Held {
    pub fn sign(&self, key: &SecretKey) -> Result<Signed, Malformed> {
        Ok(Signed::new(Kind::Held, canon::write("a held trust version", self)?, key))
    }

    /// Reads without verifying: to know which key to verify with.
    pub fn peek(signed: &Signed) -> Result<Self, Malformed> {
        let what = "a held trust version";
        let held: Self = canon::read(what, &signed.statement)?;
        if held.domain == Kind::Held.domain() { Ok(held) } else { Err(Malformed::NotCanonical { what }) }
    }

    /// The region's own answer to this very question.
    pub fn open(signed: &Signed, key: &PublicKey, asked: &Asked, deployment: &Deployment) -> Result<Self, BadHeld> {
        signed.verify(Kind::Held, key).map_err(BadAck::from)?;
        let held = Self::peek(signed).map_err(BadAck::from)?;
        let same = [
            (held.deployment == *deployment, "deployment"),
            (held.tenant == asked.tenant, "tenant"),
            (held.nonce == asked.nonce, "question"),
        ];
        match same.into_iter().find(|(same, _)| !same) {
            None => Ok(held),
            Some((_, what)) => Err(BadHeld::Elsewhere(what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, region};

    #[test]
    fn an_answer_serves_its_own_question() {
        let world = World::new();
        let asked = Asked { tenant: world.tenant(), nonce: "AAAAAAAAAAAAAAAAAAAAAA".into() };
        let held = Held {
            domain: Kind::Held.domain(),
            deployment: world.deployment(),
            tenant: world.tenant(),
            region: region("us-east"),
            nonce: asked.nonce.clone(),
            version: 1,
            trust: world.chain().digest(),
            forked: BTreeSet::new(),
            at_us: 1,
        };
        let (key, signed) = (world.report_key("us-east"), held.sign(world.report_key("us-east")).unwrap());
        assert_eq!(Held::open(&signed, &key.public(), &asked, &world.deployment()), Ok(held.clone()));
        let other = |asked: Asked| Held::open(&signed, &key.public(), &asked, &world.deployment());
        let replayed = Asked { nonce: "BBBBBBBBBBBBBBBBBBBBBA".into(), ..asked.clone() };
        assert_eq!(other(replayed), Err(BadHeld::Elsewhere("question")));
        let foreign = Asked { tenant: TenantId(Digest([1; 32])), ..asked.clone() };
        assert_eq!(other(foreign), Err(BadHeld::Elsewhere("tenant")));
        let elsewhere = Deployment::new("other").unwrap();
        assert_eq!(Held::open(&signed, &key.public(), &asked, &elsewhere), Err(BadHeld::Elsewhere("deployment")));
        assert!(Held::open(&signed, &world.report_key("eu-frankfurt").public(), &asked, &world.deployment()).is_err());
    }
}
