//! A tenant's gate: the stops that are set, the epoch, the generation, the lease's deadline, each one atomic word.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use orbital::halt::Halt;

use crate::{
    clock::Clock,
    guards,
    names::{Epoch, Generation},
};

/// A lease deadline that never comes.
pub const LEASE_UNLIMITED: u64 = u64::MAX;

macro_rules! stops {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $word:literal;)*) => {
        /// One reason why a tenant is not served. Each is its own bit, lifted only by its counterpart (PROTOCOL §4).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Stop { $($(#[$doc])* $name,)* }

        impl Stop {
            /// All of them, the gravest first: a tenant with several is refused for the first.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// Its bit in the gate and in stored rows. Never changes.
            pub const fn bit(self) -> u32 { match self { $(Self::$name => 1 << $bit,)* } }
            /// A word for logs, metrics and audit.
            pub const fn word(self) -> &'static str { match self { $(Self::$name => $word,)* } }
        }
    };
}

stops! {
    /// A certified Kill that no RestoreL1 names yet.
    Killed = 0, "killed";
    /// More certified Kills than this region can remember by name: no RestoreL1 could name them all, so nothing lifts it.
    KilledForGood = 7, "killed_for_good";
    /// The tenant's trust root names this region no more: its keys here are destroyed.
    Left = 8, "left";
    /// A certified Block.
    Blocked = 1, "blocked";
    /// The customer's KMS refuses the key.
    L1Stop = 2, "l1_stop";
    /// The tenant's lease has ended.
    LeaseOver = 3, "lease_over";
    /// The customer's KMS has been out of reach for longer than `l1_grace`.
    L1Away = 4, "l1_away";
    /// The node has started and no trustworthy head has opened the tenant yet.
    Sealed = 5, "sealed";
    /// A certified Suspend: decrypting goes on, protecting does not.
    Suspended = 6, "suspended";
}

impl Stop {
    /// The stop that a certified halt sets.
    pub const fn of(halt: Halt) -> Self {
        match halt {
            Halt::Kill => Self::Killed,
            Halt::Block => Self::Blocked,
            Halt::Suspension => Self::Suspended,
        }
    }
    /// The certified halt that it stands for.
    pub const fn halt(self) -> Option<Halt> {
        match self {
            Self::Killed | Self::KilledForGood => Some(Halt::Kill),
            Self::Blocked => Some(Halt::Block),
            Self::Suspended => Some(Halt::Suspension),
            Self::Left | Self::L1Stop | Self::LeaseOver | Self::L1Away | Self::Sealed => None,
        }
    }
    /// The keys are zeroized, not only fenced.
    pub const fn zeroizes(self) -> bool {
        !matches!(self, Self::Suspended)
    }
    /// Survives a restart.
    pub const fn durable(self) -> bool {
        !matches!(self, Self::L1Away | Self::Sealed)
    }
}

/// A set of [`Stop`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stops(pub u32);

impl Stops {
    pub fn holds(self, stop: Stop) -> bool {
        self.0 & stop.bit() != 0
    }
    pub fn with(self, stop: Stop) -> Self {
        Self(self.0 | stop.bit())
    }
    pub fn without(self, stop: Stop) -> Self {
        Self(self.0 & !stop.bit())
    }
    /// Those that survive a restart.
    pub fn durable(self) -> Self {
        Self(self.iter().filter(|stop| stop.durable()).fold(0, |bits, stop| bits | stop.bit()))
    }
    /// Halted by people, in whatever way.
    pub fn halted(self) -> bool {
        self.iter().any(|stop| stop.halt().is_some())
    }
    /// The gravest first.
    pub fn iter(self) -> impl Iterator<Item = Stop> {
        Stop::ALL.iter().copied().filter(move |stop| self.holds(*stop))
    }
}

/// What a borrowed key is used for: a suspended tenant may still process, not protect (DESIGN §2.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Encrypt, wrap, sign, create.
    Protect,
    /// Decrypt, unwrap, verify, get.
    Process,
}

impl Purpose {
    const fn closing(self) -> u32 {
        let mut bits = 0;
        let mut rest = Stop::ALL;
        while let [stop, others @ ..] = rest {
            if !matches!((self, stop), (Self::Process, Stop::Suspended)) {
                bits |= stop.bit();
            }
            rest = others;
        }
        bits
    }
}

/// The gate is closed. DESIGN §2.11b says what a client is told for each reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tenant is not served here now: {}", why.word())]
pub struct Refused {
    pub why: Stop,
}

impl Refused {
    /// A client may try again later (General Failure); else the answer is final (Item Not Found, Permission Denied).
    pub fn try_again(&self) -> bool {
        matches!(self.why, Stop::LeaseOver | Stop::L1Away | Stop::Sealed)
    }
}

/// One tenant's gate: read by every request without a lock, written outside every mailbox.
pub struct Gate {
    pub(super) stops: AtomicU32,
    pub(super) epoch: AtomicU64,
    pub(super) generation: AtomicU64,
    pub(super) lease_until_ms: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl Gate {
    pub(super) fn new(opening: Opening, clock: Arc<dyn Clock>) -> Self {
        Self {
            stops: AtomicU32::new(opening.stops.0),
            epoch: AtomicU64::new(opening.epoch.0),
            generation: AtomicU64::new(opening.generation.0),
            lease_until_ms: AtomicU64::new(opening.lease_until_ms),
            clock,
        }
    }
    pub fn stops(&self) -> Stops {
        Stops(self.stops.load(Ordering::SeqCst))
    }
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::SeqCst))
    }
    pub fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::SeqCst))
    }
    /// CLOCK_BOOTTIME milliseconds at which the tenant's lease ends; [`LEASE_UNLIMITED`] for never.
    pub fn lease_until_ms(&self) -> u64 {
        self.lease_until_ms.load(Ordering::SeqCst)
    }

    /// The stops alone, without a clock.
    pub(super) fn check_stops(&self, purpose: Purpose) -> Result<(), Refused> {
        let closing = guards::closed(self.stops().0, purpose.closing());
        match Stops(closing).iter().next() {
            Some(why) => Err(Refused { why }),
            None => Ok(()),
        }
    }

    pub(super) fn check(&self, purpose: Purpose) -> Result<(), Refused> {
        self.check_stops(purpose)?;
        let until_ms = self.lease_until_ms();
        if until_ms != LEASE_UNLIMITED && guards::past(until_ms, self.clock.boottime_ms()) {
            return Err(Refused { why: Stop::LeaseOver });
        }
        Ok(())
    }
}

/// How a tenant's gate stands when it is put into the table.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    pub stops: Stops,
    pub epoch: Epoch,
    pub generation: Generation,
    pub lease_until_ms: u64,
}
