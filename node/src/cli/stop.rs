//! A stop that needs no governance (PROTOCOL §4): what is checked of the file before anyone signs or sends it, and what a region's answer
//! means. The file and its way to a region are the stop listener's own ([`crate::stop_listener`]).

use orbital::{
    certificate::{Uncertified, certify},
    chain::Chain,
    change::Change,
    halt::Halt,
    names::Digest,
    report::{Outcome, SyncAck},
    sign::Signed,
    vote::{Role, Vote},
};
use serde::Serialize;

use super::{
    exit::{Exit, Failure},
    genesis, plain,
    trust::TrustFile,
};
use crate::stop_listener::{self, StopFile, Undelivered};

/// A stop whose chain, change and signatures were checked, whether or not its quorum is met yet.
pub(crate) struct Checked {
    pub(crate) chain: Chain,
    pub(crate) change: Change,
    pub(crate) digest: Digest,
    pub(crate) proposed: Vote,
    /// Why it is no law yet; none once the quorum is met.
    pub(crate) open: Option<String>,
    /// Nothing but the fire of one of its signers is open.
    pub(crate) unfired: bool,
}

impl Checked {
    /// Until when it may be fired, where it is armed.
    pub(crate) fn armed(&self) -> Option<u64> {
        self.change.armed.map(|until| until.0)
    }

    /// That an armed one may still be signed and fired: past its date nobody does.
    pub(crate) fn check_date(&self, now: u64) -> Result<(), Failure> {
        match self.armed() {
            Some(until) if now > until => Err(Failure::denied("the armed stop is over")
                .because(format!("it could be fired until {}", plain::time(until)))
                .fix("have a new stop signed: kcm revoke sign")),
            _ => Ok(()),
        }
    }
}

/// Checks everything that can be checked before the last signature is there. `now` is in Unix seconds.
pub(crate) fn check(stop: &StopFile, now: u64) -> Result<Checked, Failure> {
    let bad = |why: &dyn std::fmt::Display| {
        Failure::denied("the stop does not hold").because(why).fix("do not sign or deliver it; begin a new one")
    };
    let tenant = genesis::id(&stop.genesis);
    let file = TrustFile { tenant, genesis: stop.genesis.clone(), links: stop.links.clone() };
    let chain = file.verify(Some(tenant))?;
    let change = Change::from_bytes(&stop.certificate.change).map_err(|e| bad(&e))?;
    if Halt::set_by(&change.action).is_none() {
        return Err(bad(&format!("it carries a {}, and only a stop goes this way", change.kind())));
    }
    let proposed = Vote::read(Role::Propose, &stop.certificate.proposal).map_err(|e| bad(&e))?;
    if !plain::matches(&proposed, &change, &stop.certificate.change) || change.tenant != tenant {
        return Err(bad(&"what was proposed is not the change in the file"));
    }
    let mut unfired = false;
    let open = match certify(&stop.certificate, &chain, now) {
        Ok(_) => None,
        Err(why) if why.lacking().is_some() => Some(why.to_string()),
        Err(why @ Uncertified::Unfired { .. }) => {
            unfired = true;
            Some(why.to_string())
        }
        Err(why) => return Err(bad(&why)),
    };
    Ok(Checked { unfired, digest: Change::digest_of(&stop.certificate.change), chain, change, proposed, open })
}

/// One region's verified answer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Delivered {
    pub(crate) to: String,
    pub(crate) ack: SyncAck,
    /// The evidence, as the region signed it.
    pub(crate) signed: Signed,
}

/// Sends the stop to one address; what comes back is believed only with the region's own signature.
pub(crate) async fn deliver(stop: &StopFile, to: &str) -> Result<Delivered, Failure> {
    let signed = stop_listener::deliver(to, stop).await.map_err(|why| undelivered(&why, to))?;
    let ack = SyncAck::peek(&signed).map_err(|why| {
        Failure::new(Exit::Unconfirmed, "the answer proves nothing").at(to).because(why).fix("ask the region itself")
    })?;
    if ack.outcome == Outcome::Refused {
        return Err(Failure::denied(format!("region {} refused the stop", ack.region))
            .at(to)
            .because(ack.why)
            .fix("correct what it names, and have the stop signed anew"));
    }
    if !ack.why.is_empty() {
        return Err(Failure::denied(format!("region {} stopped nothing", ack.region))
            .at(to)
            .because(ack.why)
            .fix("have a new stop signed (`kcm revoke sign`), or propose one (`kcm revoke propose`)"));
    }
    Ok(Delivered { to: to.to_owned(), ack, signed })
}

fn undelivered(why: &Undelivered, to: &str) -> Failure {
    let (exit, what, fix) = match why {
        Undelivered::Unsound(_) | Undelivered::TooLarge(_) => {
            (Exit::Usage, "the stop cannot be sent", "have it signed anew from a fresh chain file")
        }
        Undelivered::Refused(_) => {
            (Exit::Denied, "the stop was not taken", "do what the region says, then deliver it again")
        }
        Undelivered::Unreached { .. } => {
            (Exit::Unconfirmed, "the region was not reached", "try its other nodes; the stop stays valid")
        }
        Undelivered::Broken { .. } | Undelivered::Unproven { .. } => (
            Exit::Unconfirmed,
            "the region has not proved that it stopped",
            "deliver it again: it does no harm twice. Until there is a proof, treat the region as not stopped",
        ),
    };
    Failure::new(exit, what).at(to).because(why).fix(fix)
}
