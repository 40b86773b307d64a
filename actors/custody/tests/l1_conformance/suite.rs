//! The checks, in the order of a key's life.

use std::{future::Future, path::PathBuf, pin::Pin};

use custody::l1::{
    Context, Fault, L1, L1Error, PLAIN_BYTES_MAX, Plain, Purpose, State, Stop, WRAPPED_BYTES_MAX, observed,
};
use orbital::names::{Deployment, Digest, KeyRef, Region, TenantId};

pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The Python environment that servers come from; without one, a line that says what is skipped.
pub(crate) fn venv(what: &str) -> Option<PathBuf> {
    let venv = std::env::var_os("KCM_VENV").map(PathBuf::from);
    if venv.is_none() {
        println!("{what}: skipped: KCM_VENV names no Python environment (`make test` makes one)");
    }
    venv
}

/// What a customer does at the KMS, behind the region's back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Disable,
    Enable,
    ScheduleDeletion,
    Deny,
    Allow,
}

/// One provider's customer: makes keys, acts on them, and lends the region's view.
pub(crate) trait Customer {
    /// The region's principal.
    fn region(&self) -> &dyn L1;
    /// A principal that this KMS does not know.
    fn stranger(&self) -> &dyn L1;
    /// The same provider, where nobody listens.
    fn nowhere(&self) -> &dyn L1;
    fn fresh_key(&mut self) -> Later<'_, KeyRef>;
    /// A key that never was.
    fn absent_key(&self) -> KeyRef;
    fn act<'a>(&'a self, key: &'a KeyRef, act: Act) -> Later<'a, ()>;
    /// Why this provider's server can't show a check, by the check's name.
    fn skipped(&self, _check: &str) -> Option<&'static str> {
        None
    }
}

pub(crate) async fn conforms(customer: &mut dyn Customer) {
    let provider = customer.region().provider();
    macro_rules! checks {
        ($($check:ident)*) => {$(
            match customer.skipped(stringify!($check)) {
                Some(why) => println!("{provider}: {}: skipped: {why}", stringify!($check)),
                None => {
                    println!("{provider}: {}", stringify!($check));
                    $check(customer).await;
                }
            }
        )*};
    }
    checks! {
        round_trip
        each_wrap_differs
        lengths_are_bounded
        another_context_is_refused
        another_key_is_refused
        a_changed_blob_is_refused
        disabled_stops_and_enabling_resumes
        pending_deletion_stops
        a_denied_principal_is_forbidden
        an_unknown_key_is_deleted
        an_unknown_key_opens_nothing
        a_stranger_is_a_fault
        no_answer_is_a_fault
    }
}

pub(crate) fn context() -> Context {
    Context {
        deployment: Deployment::new("conformance").unwrap(),
        tenant: TenantId(Digest([1; 32])),
        region: Region::new("eu-frankfurt").unwrap(),
        purpose: Purpose::L2,
        version: 1,
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const SECRET: [u8; 32] = [0x5a; 32];

async fn wrapped(l1: &dyn L1, key: &KeyRef) -> Vec<u8> {
    l1.wrap(key, &context(), &SECRET).await.unwrap()
}

fn opened(plain: Result<Plain, L1Error>) -> Result<[u8; 32], L1Error> {
    let mut slot = [0; 32];
    let poured = plain?.pour(&mut slot);
    assert!(poured, "32 bytes were wrapped");
    Ok(slot)
}

fn refusal<T>(answer: Result<T, L1Error>) -> L1Error {
    answer.err().expect("this must be refused")
}

/// The stop that this answer must be.
pub(crate) fn stop_of<T>(answer: Result<T, L1Error>) -> Stop {
    match refusal(answer) {
        L1Error::Stopped { stop, .. } => stop,
        other => panic!("no stop: {other}"),
    }
}

/// All three operations show this stop.
async fn stopped(l1: &dyn L1, key: &KeyRef, wrapped: &[u8], stop: Stop) {
    assert_eq!(stop_of(l1.wrap(key, &context(), &SECRET).await), stop);
    assert_eq!(stop_of(l1.unwrap(key, &context(), wrapped).await), stop);
    assert_eq!(observed(&l1.describe(key).await), Some(stop.state()));
}

/// All three operations show a fault, which stops nobody.
pub(crate) async fn unreachable(l1: &dyn L1, key: &KeyRef) -> Fault {
    let answers = [
        refusal(l1.wrap(key, &context(), &SECRET).await),
        refusal(l1.unwrap(key, &context(), &[1; 512]).await),
        refusal(l1.describe(key).await),
    ];
    for answer in &answers {
        assert_eq!(answer.state(), Some(State::Unreachable), "{answer}");
    }
    let [L1Error::Unreachable { fault, .. }, ..] = answers else { panic!("not unreachable") };
    fault
}

/// What the refusals of all three operations show; `None` where there is no refusal.
pub(crate) async fn shown(l1: &dyn L1, key: &KeyRef, blob: &[u8]) -> [Option<State>; 3] {
    [
        l1.describe(key).await.map(drop).err().and_then(|e| e.state()),
        l1.wrap(key, &context(), &SECRET).await.map(drop).err().and_then(|e| e.state()),
        l1.unwrap(key, &context(), blob).await.map(drop).err().and_then(|e| e.state()),
    ]
}

async fn round_trip(customer: &mut dyn Customer) {
    let key = customer.fresh_key().await;
    let l1 = customer.region();
    let described = l1.describe(&key).await.unwrap();
    assert_eq!((described.state, &described.resolved), (State::Enabled, &key));
    let blob = wrapped(l1, &key).await;
    assert!(!blob.windows(32).any(|window| window == SECRET), "the blob holds the secret");
    assert_eq!(opened(l1.unwrap(&key, &context(), &blob).await).unwrap(), SECRET);
}

async fn each_wrap_differs(customer: &mut dyn Customer) {
    let key = customer.fresh_key().await;
    let l1 = customer.region();
    assert_ne!(wrapped(l1, &key).await, wrapped(l1, &key).await);
}

async fn lengths_are_bounded(customer: &mut dyn Customer) {
    let key = customer.fresh_key().await;
    let l1 = customer.region();
    let longest = vec![7; PLAIN_BYTES_MAX];
    assert!(l1.wrap(&key, &context(), &longest).await.is_ok());
    for plain in [vec![], vec![7; PLAIN_BYTES_MAX + 1]] {
        assert!(matches!(refusal(l1.wrap(&key, &context(), &plain).await), L1Error::Unfit { .. }), "{}", plain.len());
    }
    for blob in [vec![], vec![7; WRAPPED_BYTES_MAX + 1]] {
        assert!(matches!(refusal(l1.unwrap(&key, &context(), &blob).await), L1Error::Unfit { .. }), "{}", blob.len());
    }
}

async fn another_context_is_refused(customer: &mut dyn Customer) {
    let key = customer.fresh_key().await;
    let l1 = customer.region();
    let blob = wrapped(l1, &key).await;
    let others = [
        Context { deployment: Deployment::new("other").unwrap(), ..context() },
        Context { tenant: TenantId(Digest([2; 32])), ..context() },
        Context { region: Region::new("us-east").unwrap(), ..context() },
        Context { purpose: Purpose::Probe, ..context() },
        Context { version: 2, ..context() },
    ];
    for other in others {
        let refused = refusal(l1.unwrap(&key, &other, &blob).await);
        assert!(matches!(refused, L1Error::Mismatch { .. }), "{other:?}: {refused}");
        assert_eq!(refused.state(), None, "a blob says nothing about the key");
    }
}

async fn another_key_is_refused(customer: &mut dyn Customer) {
    let (one, two) = (customer.fresh_key().await, customer.fresh_key().await);
    let l1 = customer.region();
    let blob = wrapped(l1, &one).await;
    assert!(matches!(refusal(l1.unwrap(&two, &context(), &blob).await), L1Error::Mismatch { .. }));
}

async fn a_changed_blob_is_refused(customer: &mut dyn Customer) {
    let key = customer.fresh_key().await;
    let l1 = customer.region();
    let blob = wrapped(l1, &key).await;
    for at in 0..blob.len() {
        let mut changed = blob.clone();
        changed[at] ^= 1;
        let refused = refusal(l1.unwrap(&key, &context(), &changed).await);
        assert!(matches!(refused, L1Error::Mismatch { .. }), "byte {at}: {refused}");
    }
    let cut = &blob[..blob.len() - 1];
    assert!(matches!(refusal(l1.unwrap(&key, &context(), cut).await), L1Error::Mismatch { .. }));
}

async fn disabled_stops_and_enabling_resumes(customer: &mut dyn Customer) {
    let key = customer.fresh_key().await;
    let blob = wrapped(customer.region(), &key).await;
    customer.act(&key, Act::Disable).await;
    stopped(customer.region(), &key, &blob, Stop::Disabled).await;
    customer.act(&key, Act::Enable).await;
    assert_eq!(opened(customer.region().unwrap(&key, &context(), &blob).await).unwrap(), SECRET);
}

async fn pending_deletion_stops(customer: &mut dyn Customer) {
    let key = customer.fresh_key().await;
    let blob = wrapped(customer.region(), &key).await;
    customer.act(&key, Act::ScheduleDeletion).await;
    stopped(customer.region(), &key, &blob, Stop::PendingDeletion).await;
}

async fn a_denied_principal_is_forbidden(customer: &mut dyn Customer) {
    let key = customer.fresh_key().await;
    let blob = wrapped(customer.region(), &key).await;
    customer.act(&key, Act::Deny).await;
    stopped(customer.region(), &key, &blob, Stop::Forbidden).await;
    customer.act(&key, Act::Allow).await;
    assert_eq!(opened(customer.region().unwrap(&key, &context(), &blob).await).unwrap(), SECRET);
}

async fn an_unknown_key_is_deleted(customer: &mut dyn Customer) {
    let (l1, absent) = (customer.region(), customer.absent_key());
    assert_eq!(observed(&l1.describe(&absent).await), Some(State::Deleted));
    assert_eq!(refusal(l1.wrap(&absent, &context(), &SECRET).await).state(), Some(State::Deleted));
}

async fn an_unknown_key_opens_nothing(customer: &mut dyn Customer) {
    let known = customer.fresh_key().await;
    let blob = wrapped(customer.region(), &known).await;
    stopped(customer.region(), &customer.absent_key(), &blob, Stop::Deleted).await;
}

async fn a_stranger_is_a_fault(customer: &mut dyn Customer) {
    let key = customer.fresh_key().await;
    let fault = unreachable(customer.stranger(), &key).await;
    assert!(matches!(fault, Fault::Credential | Fault::Signature), "{fault:?}");
}

async fn no_answer_is_a_fault(customer: &mut dyn Customer) {
    let key = customer.fresh_key().await;
    assert_eq!(unreachable(customer.nowhere(), &key).await, Fault::Network);
}
