//! A virtual authenticator: a passkey of P-256 from a seed, and the browser in front of it.
//!
//! It makes what a real one makes and, where a test asks for it, what a real one never would.

use aws_lc_rs::{
    agreement::{ECDH_P256, PrivateKey},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::{
    canon::Text,
    names::KeyName,
    sign::{Kind, PersonKey, Signed},
    testing::{World, person},
    trust::{ActorKey, Algorithm, TrustRoot, WebauthnTerms},
    vote::{Role, Signer, Vote},
    webauthn::{Assertion, ES256, USER_PRESENT, USER_VERIFIED},
};

/// The rpId and the origin of the tenant's portal.
pub const RP_ID: &str = "acme.example";
pub const ORIGIN: &str = "https://portal.acme.example";
/// The name of each person's passkey.
pub const PASSKEY: &str = "passkey-1";

/// The terms under which [`Authenticator`]s sign.
pub fn terms() -> WebauthnTerms {
    let (origins, algorithms) = ([ORIGIN.to_owned()].into(), [ES256.to_owned()].into());
    WebauthnTerms { rp_id: RP_ID.to_owned(), origins, algorithms }
}

/// Gives the terms to a genesis and a passkey to each of its persons, besides the key that they have.
pub fn with_passkeys(root: &mut TrustRoot) {
    let seed = format!("{}/{}", root.deployment, root.name);
    for (person, actor) in &mut root.actors {
        let public = Authenticator::new(&seed, person.as_str()).public();
        let key = ActorKey { algorithm: Algorithm::Webauthn, public, independent: true, proof: None };
        actor.keys.insert(KeyName::new(PASSKEY).unwrap(), key);
    }
    root.webauthn = Some(terms());
}

/// One person's passkey.
pub struct Authenticator {
    key: EcdsaKeyPair,
    public: PersonKey,
}

impl Authenticator {
    /// The passkey of this person in the world of this seed, which is `deployment/tenant`.
    pub fn new(seed: &str, name: &str) -> Self {
        let secret = Kind::Leaf.digest(format!("{seed}/{name}/passkey").as_bytes());
        let point = PrivateKey::from_private_key(&ECDH_P256, secret.as_bytes()).unwrap().compute_public_key().unwrap();
        let signing = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let key = EcdsaKeyPair::from_private_key_and_public_key(signing, secret.as_bytes(), point.as_ref()).unwrap();
        // SEC 1 §2.3.3: 04, x, y; compressed it is 02 or 03 by the last bit of y, and x.
        let mut compressed = [0; 33];
        compressed[0] = 2 + (point.as_ref()[64] & 1);
        compressed[1..].copy_from_slice(&point.as_ref()[1..33]);
        Self { key, public: PersonKey::P256(compressed) }
    }

    pub fn public(&self) -> PersonKey {
        self.public
    }

    /// What a browser on the portal's page gets for this challenge.
    pub fn assert(&self, challenge: &[u8], user_verified: bool) -> Assertion {
        let flags = if user_verified { USER_PRESENT | USER_VERIFIED } else { USER_PRESENT };
        self.sign(authenticator_data(RP_ID, flags), client_data(challenge, ORIGIN, ""))
    }

    /// Signs these parts, whatever they say.
    pub fn sign(&self, authenticator_data: Vec<u8>, client_data: Vec<u8>) -> Assertion {
        let message = [authenticator_data.as_slice(), &Sha256::digest(&client_data)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &message).unwrap().as_ref().to_vec();
        Assertion { authenticator_data, client_data, signature }
    }
}

/// Client data as browsers write it (§5.8.1.1); `more` is put behind the origin.
pub fn client_data(challenge: &[u8], origin: &str, more: &str) -> Vec<u8> {
    let challenge = URL_SAFE_NO_PAD.encode(challenge);
    format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{origin}"{more}}}"#).into_bytes()
}

/// Authenticator data without extensions and with a counter of zero (§6.1).
pub fn authenticator_data(rp_id: &str, flags: u8) -> Vec<u8> {
    [Sha256::digest(rp_id.as_bytes()).as_slice(), &[flags, 0, 0, 0, 0]].concat()
}

impl World {
    /// A person's passkey. It counts in a world of [`with_passkeys`].
    pub fn passkey(&self, name: &str) -> Authenticator {
        Authenticator::new(&self.seed, name)
    }

    /// The proposal of a change, signed by the proposer's passkey.
    pub fn propose_by_passkey(&self, change: &[u8], name: &str, user_verified: bool) -> Signed {
        let signed = Vote::propose(change, self.trust(), self.expires, &self.at_portal(name)).unwrap();
        self.sign_again(Role::Propose, signed, name, user_verified)
    }

    /// `name`'s answer to a proposal, signed by their passkey.
    pub fn answer_by_passkey(&self, role: Role, proposal: &Signed, name: &str, user_verified: bool) -> Signed {
        let signed = Vote::answer(role, proposal, &self.at_portal(name)).unwrap();
        self.sign_again(role, signed, name, user_verified)
    }

    fn at_portal(&self, name: &str) -> Signer<'_> {
        let key = KeyName::new(PASSKEY).unwrap();
        Signer { person: person(name), key, origin: Text::new(ORIGIN).unwrap(), ..self.signer(name) }
    }

    fn sign_again(&self, role: Role, signed: Signed, name: &str, user_verified: bool) -> Signed {
        let challenge = role.kind().digest(&signed.statement);
        let signature = self.passkey(name).assert(challenge.as_bytes(), user_verified).into();
        Signed { signature, ..signed }
    }
}
