//! The demo's people at the portal's API: they sign with their key files and speak REST.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use node::{
    demo::{people::Founding, setup, setup::Setup},
    keyfiles,
    kmip_client::tls_config,
};
use orbital::{
    canon::Text,
    certificate::Certificate,
    chain::{Chain, Genesis},
    change::{Action, Change, L1Ref},
    names::{Digest, KeyName, KeyRef, Person, System},
    sign::{Kind, SecretKey, Signed},
    trust::TrustRoot,
    vote::{Role, Signer, Vote},
};
use serde_json::{Value, json};

use super::{Res, rest::Rest};

/// Between two looks at a proposal that regions still work on.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The demo's people at the portal's API.
pub struct People<'a> {
    setup: &'a Setup,
    pub rest: Rest,
    chains: Vec<Chain>,
    /// How long regions may take for a decision.
    pub patience: Duration,
}

impl<'a> People<'a> {
    pub async fn of(setup: &'a Setup) -> Res<Self> {
        let portal = &setup.portal;
        let rest = Rest::open(setup.rest, tls_config(&portal.ca, &portal.cert, &portal.key)?).await?;
        Ok(Self { setup, rest, chains: Vec::new(), patience: Duration::from_secs(30) })
    }

    /// Provisions a tenant and links its key.
    pub async fn found(&mut self, at: usize) -> Res<()> {
        let tenant = self.setup.tenants.get(at).ok_or("no such tenant")?;
        let text = std::fs::read(&tenant.genesis)?;
        let genesis: Genesis = serde_json::from_slice(&text)?;
        self.chains.push(genesis.found()?);
        self.rest.post("/v1/tenants", &serde_json::from_slice(&text)?).await?;
        let key = tenant.key.as_ref().ok_or("a tenant of the demo has no key")?;
        let l1 = L1Ref { provider: System::new(&tenant.provider)?, key: KeyRef::new(key)? };
        self.decide(at, Action::LinkL1 { l1 }, "alice", &["bob"]).await.map(drop)
    }

    pub fn chain(&self, tenant: usize) -> Res<&Chain> {
        self.chains.get(tenant).ok_or_else(|| "a tenant that was not founded".into())
    }

    /// The trust root after the current one, to be altered.
    pub fn successor(&self, tenant: usize) -> Res<TrustRoot> {
        Ok(self.chain(tenant)?.successor())
    }

    /// Takes the links that were decided since, each verified.
    pub async fn follow(&mut self, tenant: usize) -> Res<()> {
        let seen = self.tenant(tenant).await?;
        let links: Vec<Certificate> =
            serde_json::from_value(seen.get("links").cloned().ok_or("a tenant without links")?)?;
        let known = usize::try_from(self.chain(tenant)?.version() - 1)?;
        for link in links.iter().skip(known) {
            let (chain, _) = self.chain(tenant)?.extend(link)?;
            *self.chains.get_mut(tenant).ok_or("a tenant that was not founded")? = chain;
        }
        Ok(())
    }

    async fn tenant(&mut self, tenant: usize) -> Res<Value> {
        let id = self.chain(tenant)?.tenant();
        self.rest.get(&format!("/v1/tenants/{id}")).await
    }

    /// Kills that no restore names yet.
    pub async fn killed(&mut self, tenant: usize) -> Res<BTreeSet<Digest>> {
        let seen = self.tenant(tenant).await?;
        let set = |name: &str| -> Res<BTreeSet<Digest>> {
            Ok(serde_json::from_value(seen.get(name).cloned().unwrap_or_else(|| json!([])))?)
        };
        Ok(set("kills")?.difference(&set("restored")?).copied().collect())
    }

    /// Proposes, has it approved, and waits until every region has answered: milliseconds until the last one's answer.
    pub async fn decide(&mut self, tenant: usize, action: Action, proposer: &str, approvers: &[&str]) -> Res<f64> {
        let epoch = self.tenant(tenant).await?.get("epoch").and_then(number).ok_or("a tenant without epoch")?;
        let made = Made::new(self.chain(tenant)?, epoch, action, proposer, &key(self.setup, proposer)?)?;
        let shown = self.rest.post("/v1/proposals", &made.body()).await?;
        let id = id(&shown)?;
        self.probed(&id, &shown).await?;
        for approver in approvers {
            let vote = made.approval(approver, &key(self.setup, approver)?)?;
            self.rest.post(&format!("/v1/proposals/{id}/approve"), &vote).await?;
        }
        self.ended(&id).await
    }

    /// Waits until each region has tried the key that a link names.
    async fn probed(&mut self, id: &str, made: &Value) -> Res<()> {
        if made.get("kind").and_then(Value::as_str) != Some("LinkL1") {
            return Ok(());
        }
        self.until(id, |shown| {
            let probes = shown.get("probes").and_then(Value::as_object)?;
            let answered = probes.values().filter(|probe| !probe.get("state").is_none_or(Value::is_null)).count();
            (answered == setup::REGIONS.len()).then_some(())
        })
        .await
    }

    async fn ended(&mut self, id: &str) -> Res<f64> {
        let shown = self
            .until(id, |shown| {
                let state = shown.get("state").and_then(Value::as_str)?;
                matches!(state, "active" | "failed" | "rejected" | "expired" | "withdrawn").then(|| shown.clone())
            })
            .await?;
        if shown.get("state").and_then(Value::as_str) != Some("active") {
            return Err(format!("a proposal has not become active: {shown}").into());
        }
        let regions = shown.get("regions").and_then(Value::as_object).ok_or("a proposal without regions")?;
        let waited = regions.values().filter_map(|region| region.get("waited_us").and_then(number));
        let last = waited.max().ok_or("no region says how long it took")?;
        Ok(last as f64 / 1_000.0)
    }

    async fn until<T>(&mut self, id: &str, seen: impl Fn(&Value) -> Option<T>) -> Res<T> {
        let began = Instant::now();
        loop {
            let shown = self.rest.get(&format!("/v1/proposals/{id}")).await?;
            if let Some(found) = seen(&shown) {
                return Ok(found);
            }
            if began.elapsed() > self.patience {
                return Err(format!("not within {} s: {shown}", self.patience.as_secs()).into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// A change that was signed as a proposal, to be sent.
pub struct Made {
    pub change: Vec<u8>,
    proposal: Signed,
}

impl Made {
    /// `epoch` is the tenant's.
    pub fn new(chain: &Chain, epoch: u64, action: Action, proposer: &str, secret: &SecretKey) -> Res<Self> {
        let trust = chain.current();
        let regions =
            if action.is_told_to_nobody() { BTreeSet::new() } else { trust.regions.keys().cloned().collect() };
        let change = Change {
            domain: Kind::Change.domain(),
            deployment: trust.deployment.clone(),
            tenant: chain.tenant(),
            trust_version: trust.version,
            epoch: epoch + u64::from(!action.kind().is_stop()),
            regions,
            reason: Text::new("a bench")?,
            nonce: nonce()?,
            evidence: None,
            armed: None,
            action,
        }
        .to_bytes()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let proposal = Vote::propose(&change, trust, now + 600, &signer(proposer, secret)?)?;
        Ok(Self { change, proposal })
    }

    /// What opens the proposal.
    pub fn body(&self) -> Value {
        json!({ "change": base64url(&self.change), "proposal": self.proposal })
    }

    /// What approves it.
    pub fn approval(&self, approver: &str, secret: &SecretKey) -> Res<Value> {
        Ok(json!({ "vote": Vote::answer(Role::Approve, &self.proposal, &signer(approver, secret)?)? }))
    }
}

/// The id of a proposal that is shown.
pub fn id(shown: &Value) -> Res<String> {
    Ok(shown.get("id").and_then(Value::as_str).ok_or("a proposal without id")?.to_owned())
}

/// The key that one of the demo's people signs with.
pub fn key(setup: &Setup, person: &str) -> Res<SecretKey> {
    let path = setup.people.path(person).ok_or_else(|| format!("{person} has no key"))?;
    Ok(keyfiles::read_ed25519(path)?)
}

fn signer<'s>(person: &str, secret: &'s SecretKey) -> Res<Signer<'s>> {
    Ok(Signer {
        person: Person::new(person)?,
        key: KeyName::new(node::demo::people::KEY)?,
        secret,
        origin: Text::new("cli")?,
        nonce: nonce()?,
    })
}

/// A number, or a decimal string.
pub fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

pub fn nonce() -> Res<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| e.to_string())?;
    Ok(base64url(&bytes))
}

fn base64url(bytes: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Tenants like the demo's first, under other names and without callers; every region is told to expect them.
pub fn newcomers(setup: &Setup, count: usize) -> Res<Vec<Genesis>> {
    let first = setup.tenants.first().ok_or("the demo has no tenant")?;
    let chain = serde_json::from_slice::<Genesis>(&std::fs::read(&first.genesis)?)?.found()?;
    let trust = chain.current();
    let mut pins = String::new();
    let mut geneses = Vec::with_capacity(count);
    for number in 0..count {
        let name = format!("newcomer-{number}");
        let founding = Founding {
            deployment: &trust.deployment,
            name: &name,
            regions: trust.regions.clone(),
            system: "first",
            callers: BTreeSet::new(),
            policy: trust.policy,
            lease_key: trust.lease.key,
        };
        let genesis = founding.sign(&setup.people)?;
        pins.push_str(&format!("{name} = \"{}\"\n", Kind::Trust.digest(&genesis.root)));
        geneses.push(genesis);
    }
    let text = std::fs::read_to_string(&setup.topology)?;
    let (head, tail) = text.split_once("[pin]\n").ok_or("the topology has no [pin]")?;
    std::fs::write(&setup.topology, format!("{head}[pin]\n{pins}{tail}"))?;
    Ok(geneses)
}
