//! Verifying a certificate and a trust chain, against as many bare verifications of a signature.

mod common;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey},
};
use common::{
    Args, Res, paper,
    people::nonce,
    versus::{self, Side},
};
use ed25519_dalek::{Signer as _, SigningKey};
use orbital::{
    canon::Text,
    certificate::{Certificate, certify},
    change::Action,
    names::{KeyName, Person},
    sign::Signed,
    testing::{KEY, NOW, PEOPLE, World, authenticator::with_passkeys, link_l1, newcomer_key, person},
    vote::{Role, Signer, Vote},
};

const ROUNDS: usize = 10;
/// Verifications of each side in a round.
const SAMPLES: usize = 50;
const SIGNATURES: [usize; 3] = [3, 8, 16];
/// As many as the tenant of the tests has people with passkeys.
const BY_PASSKEY: [usize; 3] = [3, 8, 11];
const VERSIONS: [usize; 3] = [1, 16, 256];

fn main() -> Res<()> {
    let rounds = Args::read().number("rounds", ROUNDS)?;
    let (ed25519, p256) = (ed25519()?, p256()?);
    let mut lines = Vec::new();
    for count in SIGNATURES {
        let (world, certificate) = by_keys(count)?;
        let verify = || certify(&certificate, world.chain(), NOW).is_ok();
        lines.push(row(&format!("certificate of {count} signatures, Ed25519"), &verify, (count, &ed25519), rounds)?);
    }
    for count in BY_PASSKEY {
        let (world, certificate) = by_passkeys(count)?;
        let verify = || certify(&certificate, world.chain(), NOW).is_ok();
        lines.push(row(
            &format!("certificate of {count} signatures, passkeys (P-256)"),
            &verify,
            (count, &p256),
            rounds,
        )?);
    }
    for versions in VERSIONS {
        let (world, links) = chain(versions)?;
        let genesis = world.genesis();
        let verify = || {
            let Ok(first) = genesis.found() else { return false };
            links.iter().try_fold(first, |chain, link| chain.extend(link).map(|(longer, _)| longer)).is_ok()
        };
        let signatures = PEOPLE.len() + 2 * links.len();
        let what = format!("chain of {versions} versions, {signatures} signatures, Ed25519");
        lines.push(row(&what, &verify, (signatures, &ed25519), rounds)?);
    }
    publish(&lines, rounds)
}

type Bare = dyn Fn() -> bool;

/// One bare verification of 32 signed bytes.
fn ed25519() -> Res<Box<Bare>> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let (message, public) = ([9; 32], key.verifying_key());
    let signature = key.sign(&message);
    Ok(Box::new(move || public.verify_strict(&message, &signature).is_ok()))
}

fn p256() -> Res<Box<Bare>> {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)?;
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref())?;
    let (message, signature) = ([9; 32], key.sign(&random, &[9; 32])?);
    let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key().as_ref())?;
    Ok(Box::new(move || public.verify_sig(&message, signature.as_ref()).is_ok()))
}

fn newcomer(number: usize) -> String {
    format!("newcomer-{number}")
}

/// A LinkL1 that alice proposes; bob approves it, and so do as many others as make this number, whom no rule asks for.
fn by_keys(count: usize) -> Res<(World, Certificate)> {
    let mut world = World::new();
    let names: Vec<_> = (2..count).map(newcomer).collect();
    let next = world.next(|root| {
        root.actors.extend(names.iter().map(|name| (person(name), world.newcomer(name, &["Guests"]))));
    });
    let enter = world.certificate(Action::ChangeActors { next }, "erin", &["alice"]);
    world.extend(&enter);
    let mut certificate = world.certificate(link_l1("key"), "alice", &["bob"]);
    for name in names {
        certificate.approvals.push(approval(&certificate.proposal, &name)?);
    }
    Ok((world, certificate))
}

fn approval(proposal: &Signed, name: &str) -> Res<Signed> {
    let (person, key, origin) = (Person::new(name)?, KeyName::new(KEY)?, Text::new("cli")?);
    let signer = Signer { person, key, secret: &newcomer_key(name), origin, nonce: nonce()? };
    Ok(Vote::answer(Role::Approve, proposal, &signer)?)
}

/// The same by passkeys, each with user verification.
fn by_passkeys(count: usize) -> Res<(World, Certificate)> {
    let world = World::founded("test", "acme", with_passkeys);
    let change = world.change(link_l1("key")).to_bytes()?;
    let proposal = world.propose_by_passkey(&change, "alice", true);
    let others =
        ["bob"].into_iter().chain(PEOPLE.iter().map(|(name, _)| *name).filter(|name| !["alice", "bob"].contains(name)));
    let approve = |name| world.answer_by_passkey(Role::Approve, &proposal, name, true);
    let approvals = others.take(count - 1).map(approve).collect();
    Ok((world, Certificate { change, proposal, approvals, confirmations: Vec::new() }))
}

/// A chain of so many versions: after the genesis, a ChangeLease of two people each.
fn chain(versions: usize) -> Res<(World, Vec<Certificate>)> {
    let (mut world, mut links) = (World::new(), Vec::new());
    for number in 1..versions {
        let next = world.next(|root| root.lease.seconds = 3_600 + u64::try_from(number).unwrap_or_default());
        let link = world.certificate(Action::ChangeLease { next }, "alice", &["bob"]);
        world.extend(&link);
        links.push(link);
    }
    Ok((world, links))
}

fn row(what: &str, verify: &dyn Fn() -> bool, (count, bare): (usize, &Bare), rounds: usize) -> Res<String> {
    let (ours, bare) = (Side { does: verify, times: 1, over: 1 }, Side { does: bare, times: count, over: 1 });
    Ok(format!("| {what} | {} |", versus::cells(&ours, &bare, (rounds, SAMPLES), 0)?))
}

fn publish(lines: &[String], rounds: usize) -> Res<()> {
    let text = format!(
        "One thread. A certificate is verified as both planes do (`certify`): read, placed in the chain, each signature, each enrolment and rule; a\n\
         chain from its genesis, which {} people sign, over a ChangeLease of two people for each version. Bare is as many verifications of 32 bytes:\n\
         Ed25519 by ed25519-dalek (strict), P-256 by aws-lc-rs with the key parsed beforehand. {rounds} rounds of {SAMPLES} of each side; ratios are of p50 within one\n\
         round: median (lowest-highest).\n\n\
         | what | p50 / p99 us | bare p50 / p99 us | p50, times bare's |\n|---|---|---|---|\n{}",
        PEOPLE.len(),
        lines.join("\n")
    );
    paper::publish("certificate", "Verifying certificates and chains", &text)
}
