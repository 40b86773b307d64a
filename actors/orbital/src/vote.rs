//! Votes: the statements that people sign. Each names its role, so that no signature serves another purpose (PROTOCOL §2).

use serde::{Deserialize, Serialize};

use crate::{
    canon::{self, Malformed, Text},
    change::{Change, ChangeKind},
    names::{Deployment, Digest, KeyName, Person, TenantId},
    quorum::Verify,
    sign::{BadSignature, Kind, PersonKey, SecretKey, Signed, SignedBy},
    trust::{ActorKey, Algorithm, TrustRoot, WebauthnTerms},
    webauthn::BadAssertion,
};

/// The part that a signer plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    Propose,
    Approve,
    Reject,
    /// The proposer's last word, where the rule asks for it.
    Confirm,
    /// Fires an armed stop.
    Fire,
    /// A recovery key's word, which answers nobody's proposal ([`crate::recovery`]).
    Recover,
}

impl Role {
    pub const fn kind(self) -> Kind {
        match self {
            Self::Propose => Kind::Propose,
            Self::Approve => Kind::Approve,
            Self::Reject => Kind::Reject,
            Self::Confirm => Kind::Confirm,
            Self::Fire => Kind::Fire,
            Self::Recover => Kind::Recover,
        }
    }

    /// Whether a vote of this role names no proposal.
    const fn opens(self) -> bool {
        matches!(self, Self::Propose | Self::Recover)
    }
}

/// What a person signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    pub domain: String,
    pub deployment: Deployment,
    pub tenant: TenantId,
    /// Digest of the change's canonical bytes.
    pub change: Digest,
    pub kind: ChangeKind,
    #[serde(with = "canon::decimal")]
    pub trust_version: u64,
    pub trust: Digest,
    pub policy: Digest,
    #[serde(with = "canon::decimal")]
    pub epoch: u64,
    /// When collecting ends: Unix seconds.
    #[serde(with = "canon::decimal")]
    pub expires: u64,
    /// 16 random bytes, base64url.
    pub nonce: String,
    /// Where it was signed: `cli`, or the exact origin of the portal.
    pub origin: Text,
    pub person: Person,
    pub key: KeyName,
    /// Digest of the proposal's statement; absent in the proposal itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Digest>,
}

/// Who signs, and how their statement differs from another signer's.
pub struct Signer<'a> {
    pub person: Person,
    pub key: KeyName,
    pub secret: &'a SecretKey,
    pub origin: Text,
    /// 16 random bytes, base64url.
    pub nonce: String,
}

impl Vote {
    /// The proposal of a change: made first, and named by every other vote.
    pub fn propose(change: &[u8], trust: &TrustRoot, expires: u64, signer: &Signer<'_>) -> Result<Signed, Malformed> {
        Self::open(Role::Propose, change, trust, expires, signer)
    }

    /// The vote of a role that answers no other.
    pub(crate) fn open(
        role: Role,
        change: &[u8],
        trust: &TrustRoot,
        expires: u64,
        signer: &Signer<'_>,
    ) -> Result<Signed, Malformed> {
        let read = Change::from_bytes(change)?;
        let vote = Self {
            domain: role.kind().domain(),
            deployment: read.deployment.clone(),
            tenant: read.tenant,
            change: Change::digest_of(change),
            kind: read.kind(),
            trust_version: trust.version,
            trust: trust.digest()?,
            policy: trust.policy,
            epoch: read.epoch,
            expires,
            nonce: signer.nonce.clone(),
            origin: signer.origin.clone(),
            person: signer.person.clone(),
            key: signer.key.clone(),
            proposal: None,
        };
        vote.sign(role, signer.secret)
    }

    /// Answers a proposal: the same change under the same terms, by another role and person.
    pub fn answer(role: Role, proposal: &Signed, signer: &Signer<'_>) -> Result<Signed, Malformed> {
        let proposed = Self::read(Role::Propose, proposal)?;
        let vote = Self {
            domain: role.kind().domain(),
            nonce: signer.nonce.clone(),
            origin: signer.origin.clone(),
            person: signer.person.clone(),
            key: signer.key.clone(),
            proposal: Some(Kind::Propose.digest(&proposal.statement)),
            ..proposed
        };
        vote.sign(role, signer.secret)
    }

    fn sign(&self, role: Role, secret: &SecretKey) -> Result<Signed, Malformed> {
        canon::check_nonce(&self.nonce)?;
        Ok(Signed::new(role.kind(), canon::write("a vote", self)?, secret))
    }

    /// Reads the statement of a role, without a look at its signature.
    pub fn read(role: Role, signed: &Signed) -> Result<Self, Malformed> {
        let vote: Self = canon::read("a vote", &signed.statement)?;
        canon::check_nonce(&vote.nonce)?;
        let shaped = vote.domain == role.kind().domain() && vote.proposal.is_none() == role.opens();
        if shaped { Ok(vote) } else { Err(Malformed::NotCanonical { what: "a vote of this role" }) }
    }

    /// Whether `self` answers `proposed`: equal in everything but the signer's own members.
    pub fn answers(&self, proposed: &Self, proposal: &Signed) -> bool {
        let same = Self {
            domain: self.domain.clone(),
            nonce: self.nonce.clone(),
            origin: self.origin.clone(),
            person: self.person.clone(),
            key: self.key.clone(),
            proposal: Some(Kind::Propose.digest(&proposal.statement)),
            ..proposed.clone()
        };
        *self == same
    }

    /// The signer's key in a trust root: none where the person, the key or its algorithm is not there to count.
    pub fn key_in<'t>(&'t self, trust: &'t TrustRoot) -> Option<Listed<'t>> {
        let key = trust.actors.get(&self.person)?.keys.get(&self.key)?;
        trust.counts(key).then_some(Listed { key, terms: trust.webauthn.as_ref(), origin: &self.origin })
    }
}

/// A voter's key as a trust root lists it. [`Vote::key_in`] alone makes one.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'t> {
    key: &'t ActorKey,
    terms: Option<&'t WebauthnTerms>,
    origin: &'t Text,
}

impl Listed<'_> {
    /// That this key signed the statement in this role, and what that proves. A passkey signs the digest that a key file would, at the
    /// origin that the statement names.
    pub fn verify(&self, role: Role, signed: &Signed) -> Result<Verify, BadSignature> {
        let (proved, origin) = verify(role.kind(), (self.key.algorithm, &self.key.public), self.terms, signed)?;
        match origin {
            Some(found) if found != self.origin.as_str() => {
                Err(BadAssertion::Origin { found, expected: "the origin that the statement names" }.into())
            }
            _ => Ok(proved),
        }
    }

    /// Whether the trust root marks it as one that nothing of governance makes or holds.
    pub const fn is_independent(&self) -> bool {
        self.key.independent
    }
}

/// That a person's key signed the statement for this purpose: what that proves, and where a passkey was asked to.
pub(crate) fn verify(
    kind: Kind,
    (algorithm, key): (Algorithm, &PersonKey),
    terms: Option<&WebauthnTerms>,
    signed: &Signed,
) -> Result<(Verify, Option<String>), BadSignature> {
    match (algorithm, key, &signed.signature) {
        (Algorithm::Ed25519, PersonKey::Ed25519(key), _) => signed.verify(kind, key).map(|()| (Verify::Key, None)),
        (Algorithm::Webauthn, key, SignedBy::Passkey(assertion)) => {
            let terms = terms.ok_or(BadAssertion::Terms("any kind"))?;
            let checked = assertion.check(key, terms, kind.digest(&signed.statement).as_bytes())?;
            let proved = if checked.presence().user_verified { Verify::User } else { Verify::Key };
            Ok((proved, Some(checked.origin().to_owned())))
        }
        (Algorithm::Webauthn, ..) => Err(BadSignature::OtherAlgorithm(kind.label(), "passkey")),
        (Algorithm::Ed25519, ..) => Err(BadSignature::OtherAlgorithm(kind.label(), "key file")),
    }
}
