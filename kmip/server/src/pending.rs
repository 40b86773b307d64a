//! Operations that are pending (KMIP 1.4 §6.7 to §6.9, §4.27, §4.28): they wait for the customer's KMS to open the tenant's keys.
//!
//! An operation is begun as any other: permission is asked, its request is read. Only if it comes to a key whose system is not unsealed,
//! and the client takes asynchronous answers, it is put off: the unseal goes on by itself, the request waits here, and the Poll that finds
//! the keys open performs it, under the policy, the state and the gate of that time. So nothing that a key has computed is kept between
//! two requests, a Cancel takes back what has not begun, and a stop drops what waits. What brings a key in its request never waits here.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use custody::{Error, names::Generation};
use kmip::{Operation, ProtocolVersion, tables::CancellationResult};
use orbital::names::{System, TenantId};
use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::{
    caller::Caller,
    correlation::{Correlation, draw},
    dispatch,
};

/// Most operations of a tenant that are pending, or were and are remembered. One more is performed while its client waits.
pub(crate) const PENDING_PER_TENANT_MAX: usize = 64;
/// The longest message that may wait; a longer one is performed while its client waits.
pub(crate) const PENDING_BYTES_MAX: usize = 16 * 1024;
/// How long an operation is pending, or remembered, in seconds.
pub(crate) const PENDING_S: i64 = 300;

/// Whether an operation may be put off until its keys are open: it needs keys, and its request holds none.
pub(crate) fn can_wait(operation: Operation) -> bool {
    use Operation as O;
    let uses = matches!(
        operation,
        O::Get | O::Export | O::Encrypt | O::Decrypt | O::Sign | O::SignatureVerify | O::Mac | O::MacVerify
    );
    uses || dispatch::makes(operation)
}

/// Whether an operation may be put off, and has come to keys that are not open.
pub(crate) struct Later {
    open: AtomicBool,
    asked: AtomicBool,
}

impl Later {
    pub(crate) fn new(open: bool) -> Self {
        Self { open: AtomicBool::new(open), asked: AtomicBool::new(false) }
    }

    /// It may be put off.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// It has begun what cannot be begun again: it is not put off any more.
    pub(crate) fn bar(&self) {
        self.open.store(false, Ordering::Relaxed);
    }

    /// It has come to keys that are not open. `false`: it must wait for them all the same.
    pub(crate) fn ask(&self) -> bool {
        self.asked.store(self.is_open(), Ordering::Relaxed);
        self.is_open()
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Whose a pending operation is, and in which message it may be polled: one that differs in any of it finds none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) tenant: TenantId,
    pub(crate) system: System,
    pub(crate) caller: String,
    pub(crate) version: ProtocolVersion,
    /// A stop begins another.
    pub(crate) generation: Generation,
}

impl Owner {
    pub(crate) fn of(caller: &Caller, version: ProtocolVersion, generation: Generation) -> Self {
        let (tenant, system) = (*caller.tenant(), caller.system().clone());
        Self { tenant, system, caller: caller.label().to_owned(), version, generation }
    }
}

/// What becomes of the unseal that an operation waits for.
pub(crate) type Unseal = Arc<OnceLock<Result<(), Error>>>;

/// A message that waits.
pub(crate) type Message = Zeroizing<Vec<u8>>;

enum State {
    Waiting {
        message: Message,
        unseal: Unseal,
    },
    /// A Poll performs it.
    Performing,
    Ended(CancellationResult),
}

struct Pending {
    owner: Owner,
    state: State,
    since_s: i64,
}

/// What a Poll finds.
pub(crate) enum Polled {
    Unknown,
    Pending,
    Canceled,
    /// It is the poller's to perform: it is not pending any more.
    Ready(Message, Result<(), Error>),
}

/// The operations of a region that are pending.
#[derive(Default)]
pub(crate) struct Pendings(Mutex<HashMap<Correlation, Pending>>);

impl Pendings {
    /// Puts an operation off under a new name. `None`: it cannot wait, perform it now.
    pub(crate) fn put_off(&self, owner: Owner, message: &[u8], unseal: Unseal, now_s: i64) -> Option<Correlation> {
        let name = draw().ok()?;
        let mut all = self.0.lock();
        all.retain(|_, pending| !is_over(pending, now_s));
        let own = all.values().filter(|pending| pending.owner.tenant == owner.tenant).count();
        if own >= PENDING_PER_TENANT_MAX || message.len() > PENDING_BYTES_MAX {
            return None;
        }
        let state = State::Waiting { message: Zeroizing::new(message.to_vec()), unseal };
        all.insert(name, Pending { owner, state, since_s: now_s });
        Some(name)
    }

    /// What has become of an operation. One that is ready is the poller's from here on.
    pub(crate) fn poll(&self, name: &[u8], owner: &Owner, now_s: i64) -> Polled {
        let mut all = self.0.lock();
        let Some(pending) = find(&mut all, name, owner, now_s) else { return Polled::Unknown };
        match &mut pending.state {
            State::Performing | State::Ended(CancellationResult::Completed | CancellationResult::Failed) => {
                Polled::Unknown
            }
            State::Ended(_) => Polled::Canceled,
            State::Waiting { message, unseal } => {
                let Some(result) = unseal.get().cloned() else { return Polled::Pending };
                let message = std::mem::take(message);
                pending.state = State::Performing;
                Polled::Ready(message, result)
            }
        }
    }

    /// The Poll that had it has answered.
    pub(crate) fn ended(&self, name: &[u8], succeeded: bool) {
        let result = if succeeded { CancellationResult::Completed } else { CancellationResult::Failed };
        let name = Correlation::try_from(name).unwrap_or_default();
        if let Some(pending) = self.0.lock().get_mut(&name) {
            pending.state = State::Ended(result);
        }
    }

    /// Takes back an operation that has not begun (§4.27).
    pub(crate) fn cancel(&self, name: &[u8], owner: &Owner, now_s: i64) -> CancellationResult {
        let mut all = self.0.lock();
        let Some(pending) = find(&mut all, name, owner, now_s) else { return CancellationResult::Unavailable };
        let result = match &pending.state {
            State::Performing => return CancellationResult::UnableToCancel,
            State::Ended(result) => return *result,
            State::Waiting { unseal, .. } if matches!(unseal.get(), Some(Err(_))) => CancellationResult::Failed,
            State::Waiting { .. } => CancellationResult::Canceled,
        };
        pending.state = State::Ended(result);
        result
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// The tenant is stopped: what its clients had asked is wiped.
    pub(crate) fn drop_tenant(&self, tenant: &TenantId) {
        self.0.lock().retain(|_, pending| pending.owner.tenant != *tenant);
    }
}

fn find<'a>(
    all: &'a mut HashMap<Correlation, Pending>,
    name: &[u8],
    owner: &Owner,
    now_s: i64,
) -> Option<&'a mut Pending> {
    let pending = all.get_mut(&Correlation::try_from(name).ok()?)?;
    (pending.owner == *owner && !is_over(pending, now_s)).then_some(pending)
}

fn is_over(pending: &Pending, now_s: i64) -> bool {
    now_s.saturating_sub(pending.since_s) > PENDING_S
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::tests::tenant;

    fn owner(of: u8) -> Owner {
        Owner {
            tenant: tenant(of),
            system: System::new("orders").unwrap(),
            caller: "client".to_owned(),
            version: ProtocolVersion::V1_4,
            generation: Generation(1),
        }
    }

    fn begun(pendings: &Pendings, of: u8, now_s: i64) -> (Correlation, Unseal) {
        let unseal = Unseal::default();
        (pendings.put_off(owner(of), b"message", unseal.clone(), now_s).unwrap(), unseal)
    }

    fn is_unknown(polled: &Polled) -> bool {
        matches!(polled, Polled::Unknown)
    }

    #[test]
    fn it_is_pending_until_its_keys_are_open_and_is_performed_once() {
        let pendings = Pendings::default();
        let (name, unseal) = begun(&pendings, 1, 0);
        assert!(matches!(pendings.poll(&name, &owner(1), 0), Polled::Pending));
        unseal.set(Ok(())).unwrap();
        let Polled::Ready(message, Ok(())) = pendings.poll(&name, &owner(1), 0) else { panic!("it is ready") };
        assert_eq!(*message, b"message");
        assert!(is_unknown(&pendings.poll(&name, &owner(1), 0)), "it is with the other Poll");
        assert_eq!(pendings.cancel(&name, &owner(1), 0), CancellationResult::UnableToCancel);
        pendings.ended(&name, true);
        assert!(is_unknown(&pendings.poll(&name, &owner(1), 0)));
        assert_eq!(pendings.cancel(&name, &owner(1), 0), CancellationResult::Completed);
    }

    #[test]
    fn a_cancel_takes_back_what_has_not_begun() {
        let pendings = Pendings::default();
        let (name, unseal) = begun(&pendings, 1, 0);
        assert_eq!(pendings.cancel(&name, &owner(1), 0), CancellationResult::Canceled);
        unseal.set(Ok(())).unwrap();
        assert!(matches!(pendings.poll(&name, &owner(1), 0), Polled::Canceled));
        assert_eq!(pendings.cancel(&[0; 16], &owner(1), 0), CancellationResult::Unavailable);
        let (name, unseal) = begun(&pendings, 1, 0);
        unseal.set(Err(Error::Unavailable)).unwrap();
        assert_eq!(pendings.cancel(&name, &owner(1), 0), CancellationResult::Failed);
    }

    #[test]
    fn it_is_its_owner_s_until_a_stop_or_its_end() {
        let pendings = Pendings::default();
        let (name, _) = begun(&pendings, 1, 0);
        let others = [
            owner(2),
            Owner { system: System::new("billing").unwrap(), ..owner(1) },
            Owner { caller: "other".to_owned(), ..owner(1) },
            Owner { version: ProtocolVersion::V1_2, ..owner(1) },
            Owner { generation: Generation(2), ..owner(1) },
        ];
        for other in &others {
            assert!(is_unknown(&pendings.poll(&name, other, 0)), "{other:?}");
            assert_eq!(pendings.cancel(&name, other, 0), CancellationResult::Unavailable, "{other:?}");
        }
        assert!(!is_unknown(&pendings.poll(&name, &owner(1), PENDING_S)));
        assert!(is_unknown(&pendings.poll(&name, &owner(1), PENDING_S + 1)));
        let (name, _) = begun(&pendings, 1, PENDING_S + 1);
        assert_eq!(pendings.0.lock().len(), 1, "what is over is wiped when another comes");
        pendings.drop_tenant(&tenant(1));
        assert!(is_unknown(&pendings.poll(&name, &owner(1), PENDING_S + 1)));
    }

    #[test]
    fn a_tenant_has_so_many_and_none_is_too_long() {
        let pendings = Pendings::default();
        (0..PENDING_PER_TENANT_MAX).for_each(|_| drop(begun(&pendings, 1, 0)));
        assert!(pendings.put_off(owner(1), b"message", Unseal::default(), 0).is_none());
        assert!(pendings.put_off(owner(2), b"message", Unseal::default(), 0).is_some());
        assert!(pendings.put_off(owner(2), &[0; PENDING_BYTES_MAX + 1], Unseal::default(), 0).is_none());
    }

    #[test]
    fn what_has_begun_is_not_put_off() {
        let later = Later::new(true);
        assert!(later.ask() && later.is_asked());
        later.bar();
        assert!(!later.ask() && !later.is_asked());
    }
}
