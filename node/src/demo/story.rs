//! The story: what people do with the demo, through the same commands and sockets that they would use. Each step is observed.

use std::{fmt::Write as _, time::Duration};

use kmip::ResultReason;
use serde_json::Value;
use tokio::process::Command;

use super::{
    DemoError,
    pki::Files,
    setup::{Setup, Tenant},
};
use crate::kmip_client::{KmipClient, KmipError, Sealed, tls_config};

/// Longest wait for anything that the regions do.
const PATIENCE: &str = "30s";

/// Runs `kcm` as a person would.
pub(crate) struct Teller<'a> {
    pub(crate) setup: &'a Setup,
    /// Shows each command and what it prints.
    pub(crate) aloud: bool,
}

/// A key of the story in one region.
struct Used {
    region: String,
    address: String,
    id: String,
    sealed: Sealed,
}

const PLAINTEXT: &[u8] = b"what only the customer may stop us from reading";

impl Teller<'_> {
    /// Runs a command with `-o json`; exit codes 0 and 3 (proposal created) are success.
    async fn kcm(&self, person: Option<&str>, args: &[&str]) -> Result<Value, DemoError> {
        let mut shown = String::from("kcm");
        let mut command =
            Command::new(std::env::current_exe().map_err(|why| DemoError::Start { what: "kcm".into(), why })?);
        if let Some(person) = person {
            command.args(["--as", person]);
            let _infallible = write!(shown, " --as {person}");
        }
        let _infallible = write!(shown, " {}", args.join(" "));
        let context = self.setup.dir.join("demo.json");
        let output = command.args(["-o", "json", "--yes", "--context"]).arg(context).args(args).output().await;
        let output = output.map_err(|why| DemoError::Start { what: shown.clone(), why })?;
        if self.aloud {
            println!("  $ {shown}");
        }
        if !matches!(output.status.code(), Some(0 | 3)) {
            let why = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            return Err(DemoError::Command { command: shown, why });
        }
        // The last JSON document is the result; before it may stand lines of progress.
        let text = String::from_utf8_lossy(&output.stdout);
        let last = serde_json::Deserializer::from_str(&text).into_iter::<Value>().filter_map(Result::ok).last();
        Ok(last.unwrap_or(Value::Null))
    }

    /// Founds each tenant and links its key: what `kcm demo` has done before it says that it is ready.
    pub(crate) async fn found(&self) -> Result<(), DemoError> {
        for tenant in &self.setup.tenants {
            let genesis = tenant.genesis.display().to_string();
            self.kcm(None, &["tenant", "provision", &genesis, "--wait", PATIENCE]).await?;
            // A key at AWS that nobody has named yet is linked later, by hand: the first screen says how.
            let Some(key) = &tenant.key else { continue };
            let link = [
                "key",
                "link",
                "--tenant",
                &tenant.name,
                "--provider",
                &tenant.provider,
                "--ref",
                key,
                "--reason",
                "demo",
            ];
            let id = proposal_id(&self.kcm(Some("alice"), &link).await?)?;
            self.kcm(Some("bob"), &["proposal", "approve", &id, "--wait", PATIENCE]).await?;
        }
        Ok(())
    }

    /// `kcm demo --script kill-switch`.
    pub(crate) async fn kill_switch(&self) -> Result<(), DemoError> {
        let (acme, globex) = match self.setup.tenants.as_slice() {
            [acme, globex, ..] => (acme, globex),
            _ => return Err(DemoError::NotObserved("the demo has two tenants".into())),
        };
        self.say("1. Both tenants' KMIP clients make, activate and use a key in each of the three regions.");
        let ours = self.use_everywhere(acme).await?;
        let theirs = self.use_everywhere(globex).await?;

        self.say("2. What would a revocation reach? Nothing changes.");
        let simulation = self.kcm(None, &["revoke", "simulate", "--tenant", &acme.name]).await?;
        self.say(&format!(
            "     {} regions would lock",
            simulation.get("regions").and_then(Value::as_array).map_or(0, Vec::len)
        ));

        self.say("3. carol proposes the revocation. One person alone stops nothing.");
        let id = self
            .propose("carol", &["revoke", "propose", "--tenant", &acme.name, "--reason", "the contract ends"])
            .await?;
        self.still_works(acme, &ours).await?;

        self.say("4. dave approves: every region stops.");
        self.kcm(Some("dave"), &["proposal", "approve", &id, "--wait", PATIENCE]).await?;
        self.show_regions(&id).await?;

        self.say("5. No client of acme gets anything any more, in any region; globex is not touched.");
        self.refused(acme, &ours).await?;
        self.still_works(globex, &theirs).await?;

        self.say("6. The audit chain holds.");
        self.kcm(None, &["audit", "verify"]).await?;

        self.say("7. The way back takes both rules: alice and bob for the link, carol and dave for the kill.");
        let id =
            self.propose("alice", &["key", "restore", "--tenant", &acme.name, "--reason", "a new contract"]).await?;
        for person in ["bob", "carol"] {
            self.kcm(Some(person), &["proposal", "approve", &id]).await?;
        }
        self.refused(acme, &ours).await?;
        self.kcm(Some("dave"), &["proposal", "approve", &id, "--wait", PATIENCE]).await?;
        self.still_works(acme, &ours).await?;
        self.say("Observed: each step.");
        Ok(())
    }

    async fn propose(&self, person: &str, args: &[&str]) -> Result<String, DemoError> {
        proposal_id(&self.kcm(Some(person), args).await?)
    }

    /// The milliseconds of each region, from the second approval to its signed answer.
    async fn show_regions(&self, id: &str) -> Result<(), DemoError> {
        let shown = self.kcm(None, &["proposal", "show", id]).await?;
        let regions = shown.get("regions").and_then(Value::as_object).cloned().unwrap_or_default();
        if regions.len() != self.setup.regions.len() {
            return Err(DemoError::NotObserved(format!(
                "{} of {} regions answered",
                regions.len(),
                self.setup.regions.len()
            )));
        }
        for (region, progress) in &regions {
            let confirmation = progress.get("confirmation").and_then(Value::as_str).unwrap_or("waiting");
            let ms = |member| progress.get(member).and_then(Value::as_f64).unwrap_or(0.0) / 1_000.0;
            self.say(&format!(
                "     {region:<14} {confirmation:<8} {:>7.2} ms  (its own part {:.2} ms)",
                ms("waited_us"),
                ms("took_us")
            ));
            if confirmation != "applied" {
                return Err(DemoError::NotObserved(format!("region {region} is {confirmation}")));
            }
        }
        Ok(())
    }

    async fn connect(&self, tenant: &Tenant, address: &str) -> Result<KmipClient, KmipError> {
        let Files { cert, key, .. } = &tenant.client;
        KmipClient::connect(address, tls_config(&self.setup.kmip_ca, cert, key)?).await
    }

    async fn use_everywhere(&self, tenant: &Tenant) -> Result<Vec<Used>, DemoError> {
        let mut used = Vec::new();
        for place in &self.setup.regions {
            let address = place.kmip.to_string();
            let mut client = self.connect(tenant, &address).await?;
            let id = client.create_active().await?;
            let sealed = client.encrypt(&id, PLAINTEXT).await?;
            used.push(Used { region: place.region.clone(), address, id, sealed });
        }
        self.still_works(tenant, &used).await?;
        Ok(used)
    }

    async fn still_works(&self, tenant: &Tenant, used: &[Used]) -> Result<(), DemoError> {
        for key in used {
            let mut client = self.connect(tenant, &key.address).await?;
            if client.decrypt(&key.id, &key.sealed).await? != PLAINTEXT {
                return Err(DemoError::NotObserved(format!(
                    "{} in {} opened to something else",
                    tenant.name, key.region
                )));
            }
            self.say(&format!("     {:<14} {} opens its data", key.region, tenant.name));
        }
        Ok(())
    }

    /// Item Not Found for everything, also for what is there (DESIGN §2.11b).
    async fn refused(&self, tenant: &Tenant, used: &[Used]) -> Result<(), DemoError> {
        for key in used {
            let mut client = self.connect(tenant, &key.address).await?;
            let answers =
                [client.decrypt(&key.id, &key.sealed).await.map(drop), client.create_active().await.map(drop)];
            for answer in answers {
                match answer {
                    Err(e) if e.reason() == Some(ResultReason::ItemNotFound) => {}
                    Err(e) => return Err(DemoError::NotObserved(format!("{} in {}: {e}", tenant.name, key.region))),
                    Ok(()) => {
                        return Err(DemoError::NotObserved(format!(
                            "{} is still served in {}",
                            tenant.name, key.region
                        )));
                    }
                }
            }
            self.say(&format!("     {:<14} {} is refused: Item Not Found", key.region, tenant.name));
        }
        Ok(())
    }

    fn say(&self, line: &str) {
        if self.aloud {
            println!("{line}");
        }
    }

    /// The state that the demo shows while it runs.
    pub(crate) async fn status(&self) -> Option<String> {
        let exe = std::env::current_exe().ok()?;
        let context = self.setup.dir.join("demo.json");
        let status = Command::new(exe).arg("--context").arg(context).arg("status").output();
        let output = tokio::time::timeout(Duration::from_secs(10), status).await.ok()?.ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn proposal_id(body: &Value) -> Result<String, DemoError> {
    let id = body.get("id").and_then(Value::as_str).map(str::to_owned);
    id.ok_or_else(|| DemoError::NotObserved(format!("no proposal in the answer: {body}")))
}
