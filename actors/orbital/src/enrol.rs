//! Enrolment: a key that enters a trust root has said itself whose it is.
//!
//! Else whoever proposes a person could enrol a key that somebody else holds, or one that nobody holds, and the approvers would sign for
//! a name alone (PROTOCOL §3). The key signs over tenant, person and itself; the regions check it with the version that brings the key.
//! The keys of a genesis need no proof: each first person signs the whole of it.

use serde::{Deserialize, Serialize};

use crate::{
    canon::{self, Malformed},
    names::{Person, TenantId},
    sign::{BadSignature, Kind, PersonKey, SecretKey, Signed, SignedBy},
    trust::{Algorithm, WebauthnTerms},
    vote,
};

/// What a key signs to become this person's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    pub domain: String,
    pub tenant: TenantId,
    pub person: Person,
    pub algorithm: Algorithm,
    pub public: PersonKey,
}

/// Why a key has not proved whose it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEnrolment {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("it brings no signature of its own over tenant, person and key; make one with `kcm actor enrol`")]
    Absent,
    #[error("{0}")]
    Signature(#[from] BadSignature),
}

impl Enrolment {
    pub fn new(tenant: TenantId, person: Person, algorithm: Algorithm, public: PersonKey) -> Self {
        Self { domain: Kind::Enrol.domain(), tenant, person, algorithm, public }
    }

    /// What the key signs. A passkey's challenge is its digest for [`Kind::Enrol`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, Malformed> {
        canon::write("an enrolment", self)
    }

    /// What a key file's holder hands to whoever proposes it: the statement with the key's own signature.
    pub fn sign(&self, secret: &SecretKey) -> Result<Signed, Malformed> {
        Ok(Signed::new(Kind::Enrol, self.to_bytes()?, secret))
    }

    /// Reads a statement that was handed over, without a look at its signature.
    pub fn read(signed: &Signed) -> Result<Self, Malformed> {
        let enrolment: Self = canon::read("an enrolment", &signed.statement)?;
        let ours = enrolment.domain == Kind::Enrol.domain();
        if ours { Ok(enrolment) } else { Err(Malformed::NotCanonical { what: "an enrolment" }) }
    }

    /// That `proof` was made by the key itself; a passkey's under these terms.
    pub fn check(&self, proof: Option<&SignedBy>, terms: Option<&WebauthnTerms>) -> Result<(), BadEnrolment> {
        let signed = Signed { statement: self.to_bytes()?, signature: proof.ok_or(BadEnrolment::Absent)?.clone() };
        Ok(vote::verify(Kind::Enrol, (self.algorithm, &self.public), terms, &signed).map(drop)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        World,
        authenticator::{Authenticator, terms, with_passkeys},
        person, secret,
    };

    fn of(world: &World, who: &str, public: impl Into<PersonKey>) -> Enrolment {
        Enrolment::new(world.tenant(), person(who), Algorithm::Ed25519, public.into())
    }

    #[test]
    fn a_key_speaks_for_itself_and_for_nothing_else() {
        let world = World::new();
        let own = secret("enrol", "zoe");
        let of = |world: &World, who: &str| of(world, who, own.public());
        let proof = of(&world, "zoe").sign(&own).unwrap().signature;
        of(&world, "zoe").check(Some(&proof), None).unwrap();
        assert_eq!(of(&world, "zoe").check(None, None), Err(BadEnrolment::Absent));
        let other = secret("enrol", "mallory");
        let mismatch = Err(BadEnrolment::Signature(BadSignature::Mismatch("enrol")));
        let by_other = of(&world, "zoe").sign(&other).unwrap().signature;
        assert_eq!(of(&world, "zoe").check(Some(&by_other), None), mismatch);
        assert_eq!(of(&world, "mallory").check(Some(&proof), None), mismatch, "another person");
        assert_eq!(of(&World::of("test", "globex"), "zoe").check(Some(&proof), None), mismatch, "another tenant");
        // What a key signed for another purpose is no enrolment.
        let vote = own.sign(Kind::Approve, &of(&world, "zoe").to_bytes().unwrap());
        assert_eq!(of(&world, "zoe").check(Some(&vote.into()), None), mismatch, "another kind");
    }

    #[test]
    fn a_passkey_proves_itself_under_the_tenants_terms_alone() {
        let world = World::founded("test", "acme", with_passkeys);
        let passkey = Authenticator::new("test/acme", "zoe");
        let enrolment = Enrolment::new(world.tenant(), person("zoe"), Algorithm::Webauthn, passkey.public());
        let digest = Kind::Enrol.digest(&enrolment.to_bytes().unwrap());
        let proof: SignedBy = passkey.assert(digest.as_bytes(), false).into();
        enrolment.check(Some(&proof), Some(&terms())).unwrap();
        assert!(enrolment.check(Some(&proof), None).is_err(), "a tenant without terms");
        let elsewhere = WebauthnTerms { rp_id: "other.example".to_owned(), ..terms() };
        assert!(enrolment.check(Some(&proof), Some(&elsewhere)).is_err());
        let by_file = enrolment.sign(&secret("enrol", "zoe")).unwrap().signature;
        assert!(enrolment.check(Some(&by_file), Some(&terms())).is_err(), "a key file's");
        let read = Enrolment::read(&Signed { statement: enrolment.to_bytes().unwrap(), signature: proof }).unwrap();
        assert_eq!(read, enrolment);
    }
}
