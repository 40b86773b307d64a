//! One file an operation, the twin of `kmip::ops`. Each takes the proof that the caller may do it, and writes its answer.

mod activate;
mod add_attribute;
mod archive;
mod cancel;
mod certify;
mod check;
mod cipher;
mod create;
mod create_key_pair;
mod create_split_key;
mod decrypt;
mod delete_attribute;
mod derivation;
mod derive_key;
mod destroy;
mod discover_versions;
mod ec;
mod encrypt;
mod export;
mod exported;
mod get;
mod get_attribute_list;
mod get_attributes;
mod get_usage_allocation;
mod halves;
mod hash;
mod import;
mod issuer;
mod join_split_key;
mod locate;
mod mac;
mod modify_attribute;
mod named;
mod obtain_lease;
mod permission;
mod poll;
pub(crate) mod query;
mod re_certify;
mod re_key;
mod re_key_key_pair;
mod recover;
mod register;
mod revoke;
mod rng;
mod rsa;
mod sign;
mod store;
mod usable;
mod validate;
mod versioned;
mod wrap;

use custody::{
    Error,
    key_table::{Borrow, Pending, Purpose, Unborrowed},
    keyring::Keyring,
    names::{Epoch, ObjectId, ObjectText},
    object::{ObjectMeta, UsageLimits},
};
use kmip::{
    ProtocolVersion,
    message::{AnswerWriter, ItemHead, RequestItem},
    ops::{Answer, Request, check as wire_check},
    tables::UsageMask,
};
use policy::Operation;

pub(crate) use named::{Course, Named};
pub(crate) use permission::Allowed;
use usable::usable;
pub(crate) use validate::AnyUsage;
use wrap::unwrapped;

use crate::{
    caller::Caller,
    naming::Kept,
    pending::{self, Later},
    refusal::{self, Outcome},
    server::Server,
    streams::{Direction, Owner},
};

/// How often a key that left the table between its warming and its use is warmed again.
const WARM_ATTEMPTS: usize = 3;

/// What an operation works with: one item's turn.
pub(crate) struct Turn<'t, 'o> {
    pub(crate) server: &'t Server,
    /// The keys: those of the server, or a draft of them. Operations have no other way to them.
    pub(crate) keyring: &'t Keyring,
    /// In a batch that is undone as a whole: what holds its names.
    pub(crate) kept: Option<&'t Kept>,
    pub(crate) caller: &'t Caller,
    pub(crate) version: ProtocolVersion,
    /// Seconds since 1970.
    pub(crate) now_s: i64,
    pub(crate) head: ItemHead<'t>,
    /// The Unique Identifier, for the audit.
    pub(crate) key: &'t mut Named,
    /// KMIP 1.4 §4: what a Create, Register or Locate of the same batch left.
    pub(crate) implied_id: &'t mut Option<ObjectId>,
    pub(crate) writer: &'t mut AnswerWriter<'o>,
    /// What a Check that refuses names (KMIP 1.4 §4.10): written beside its failure.
    pub(crate) refused: &'t mut Option<wire_check::Answer<'static>>,
    /// Whether the operation may be put off.
    pub(crate) later: &'t Later,
    pub(crate) course: &'t mut Course,
    /// Bytes that the answer of an operation that changes something may still take, what each of them takes aside.
    pub(crate) room: usize,
}

/// An operation that succeeded.
pub(crate) struct Done {
    /// The tenant's epoch under which it did.
    pub(crate) epoch: Epoch,
}

/// What a key was used for.
struct Used<F, T> {
    /// What was found out besides.
    found: F,
    given: T,
    limits: Option<UsageLimits>,
    epoch: Epoch,
}

impl Turn<'_, '_> {
    fn success(&mut self, answer: &Answer<'_>) {
        self.writer.success(self.head, answer);
    }

    /// Remembers a new object for the rest of the batch and the audit.
    fn made(&mut self, id: ObjectId) -> ObjectText {
        *self.implied_id = Some(id);
        let text = id.text();
        *self.key = Named::Object(text);
        text
    }

    /// Whose a stream on this object is. A batch that is undone as a whole has none: a part that was taken cannot be given back.
    fn stream_owner(&self, object: &Allowed, direction: Direction) -> Outcome<Owner> {
        if self.kept.is_some() {
            return Err(refusal::unsupported("one part of several in a batch with Undo; send the parts by themselves"));
        }
        self.later.bar();
        let (tenant, system) = (*self.caller.tenant(), self.caller.system().clone());
        Ok(Owner { tenant, system, caller: self.caller.label().to_owned(), object: object.id, direction })
    }

    /// Whose a pending operation is.
    fn pending_owner(&self) -> Outcome<pending::Owner> {
        let admission = self.keyring.admit(self.caller.tenant(), Purpose::Process).map_err(refusal::of_stop)?;
        Ok(pending::Owner::of(self.caller, self.version, admission.generation()))
    }

    /// Puts the operation off if it would wait for the customer's KMS now, and may be put off: what fails here is begun again by a Poll.
    fn put_off(&self) -> Outcome<()> {
        if self.later.ask() { Err(refusal::try_again("the tenant's keys are not open yet")) } else { Ok(()) }
    }

    /// Puts an operation that will store a new key off, if the keys of the caller's system are not open now, and it may be put off.
    fn put_off_if_cold(&self) -> Outcome<()> {
        let is_cold = self.later.is_open() && self.keyring.is_cold(self.caller.tenant(), self.caller.system());
        if is_cold { self.put_off() } else { Ok(()) }
    }

    /// Protects data with a key that may, for these uses. `job` answers what it found out besides what it gives.
    async fn protect<F, T>(
        &self,
        object: &Allowed,
        uses: UsageMask,
        job: impl Fn(&Borrow, &ObjectMeta) -> Outcome<(F, Pending<T>)>,
    ) -> Outcome<Used<F, T>> {
        self.used(object, Purpose::Protect, uses, job).await
    }

    /// Processes with a key that may what it protected before.
    async fn process<F, T>(
        &self,
        object: &Allowed,
        uses: UsageMask,
        job: impl Fn(&Borrow, &ObjectMeta) -> Outcome<(F, Pending<T>)>,
    ) -> Outcome<Used<F, T>> {
        self.used(object, Purpose::Process, uses, job).await
    }

    /// What `job` gives leaves if the tenant's gate is open still.
    async fn used<F, T>(
        &self,
        object: &Allowed,
        purpose: Purpose,
        uses: UsageMask,
        job: impl Fn(&Borrow, &ObjectMeta) -> Outcome<(F, Pending<T>)>,
    ) -> Outcome<Used<F, T>> {
        self.with_key(object, purpose, |borrow| {
            let meta = usable(&borrow, uses, self.now_s)?;
            let (found, pending) = job(&borrow, meta)?;
            let (limits, epoch) = (meta.usage_limits, borrow.epoch());
            Ok(Used { found, given: borrow.finish(pending).map_err(refusal::of_stop)?, limits, epoch })
        })
        .await
    }

    /// Uses a key. `job` runs without an await between borrow and drop.
    async fn with_key<T>(&self, object: &Allowed, purpose: Purpose, job: impl Fn(Borrow) -> Outcome<T>) -> Outcome<T> {
        self.borrowed(object, purpose).await.and_then(job)
    }

    /// Borrows a key, and warms it first if it is not in the table. No await comes before the borrow's end.
    async fn borrowed(&self, object: &Allowed, purpose: Purpose) -> Outcome<Borrow> {
        let (keyring, tenant, system) = (self.keyring, self.caller.tenant(), self.caller.system());
        for _ in 0..WARM_ATTEMPTS {
            match keyring.borrow(tenant, system, object.id, purpose) {
                Ok(borrow) => return Ok(borrow),
                Err(Unborrowed::Refused(refused)) => return Err(refusal::of_stop(refused)),
                Err(Unborrowed::Miss) => {}
            }
            if self.later.is_open() {
                match keyring.warm_at_once(tenant, system, object.id) {
                    Ok(true) => continue,
                    Ok(false) => self.put_off()?,
                    Err(error) => return Err(refusal::of_custody(&error)),
                }
            }
            keyring.warm(tenant, system, object.id).await.map_err(|error| refusal::of_custody(&error))?;
        }
        Err(refusal::of_custody(&Error::Unavailable))
    }
}

/// Asks permission and performs the operation.
#[expect(clippy::too_many_lines, reason = "a table with one arm an operation")]
pub(crate) async fn perform(turn: &mut Turn<'_, '_>, item: &RequestItem<'_>, epoch: Epoch) -> Outcome<Done> {
    // Taken apart where it is read: what most requests bring would else be moved three times.
    match item.request(turn.version).map_err(|error| refusal::of_wire(&error))? {
        Request::DiscoverVersions(request) => {
            let permitted = turn.system(Operation::DiscoverVersions)?;
            discover_versions::perform(turn, permitted, &request)?;
        }
        Request::Query(request) => {
            let permitted = turn.system(Operation::Query)?;
            query::perform(turn, permitted, &request)?;
        }
        Request::Create(request) => {
            let permitted = turn.system(Operation::Create)?;
            create::perform(turn, permitted, request).await?;
        }
        Request::CreateKeyPair(request) => {
            let permitted = turn.system(Operation::CreateKeyPair)?;
            create_key_pair::perform(turn, permitted, request).await?;
        }
        Request::ReKey(request) => {
            let object = turn.object(Operation::ReKey, request.unique_identifier)?;
            re_key::perform(turn, &object, request).await?;
        }
        Request::ReKeyKeyPair(request) => {
            let object = turn.object(Operation::ReKeyKeyPair, request.private_key_unique_identifier)?;
            re_key_key_pair::perform(turn, &object, request).await?;
        }
        Request::Certify(request) => {
            let object = turn.object(Operation::Certify, request.unique_identifier)?;
            certify::perform(turn, &object, request).await?;
        }
        Request::ReCertify(request) => {
            let object = turn.object(Operation::ReCertify, request.unique_identifier)?;
            re_certify::perform(turn, &object, request).await?;
        }
        Request::DeriveKey(request) => derive_key::perform(turn, request).await?,
        Request::Register(request) => {
            let permitted = turn.system(Operation::Register)?;
            register::perform(turn, permitted, *request).await?;
        }
        Request::Import(request) => {
            let permitted = turn.system(Operation::Import)?;
            import::perform(turn, permitted, *request).await?;
        }
        Request::Locate(request) => {
            let permitted = turn.system(Operation::Locate)?;
            locate::perform(turn, permitted, &request)?;
        }
        Request::Get(request) => {
            let object = turn.object(Operation::Get, request.unique_identifier)?;
            get::perform(turn, &object, &request).await?;
        }
        Request::Export(request) => {
            let object = turn.object(Operation::Export, request.unique_identifier)?;
            export::perform(turn, &object, &request).await?;
        }
        Request::GetAttributes(request) => {
            let object = turn.object(Operation::GetAttributes, request.unique_identifier)?;
            get_attributes::perform(turn, &object, &request)?;
        }
        Request::GetAttributeList(request) => {
            let object = turn.object(Operation::GetAttributeList, request.unique_identifier)?;
            get_attribute_list::perform(turn, &object)?;
        }
        Request::AddAttribute(request) => {
            let object = turn.object(Operation::AddAttribute, request.unique_identifier)?;
            add_attribute::perform(turn, &object, request).await?;
        }
        Request::ModifyAttribute(request) => {
            let object = turn.object(Operation::ModifyAttribute, request.unique_identifier)?;
            modify_attribute::perform(turn, &object, request).await?;
        }
        Request::DeleteAttribute(request) => {
            let object = turn.object(Operation::DeleteAttribute, request.unique_identifier)?;
            delete_attribute::perform(turn, &object, request).await?;
        }
        Request::Check(request) => {
            let object = turn.object(Operation::Check, request.unique_identifier)?;
            check::perform(turn, &object, &request)?;
        }
        Request::ObtainLease(request) => {
            let object = turn.object(Operation::ObtainLease, request.unique_identifier)?;
            obtain_lease::perform(turn, &object)?;
        }
        Request::GetUsageAllocation(request) => {
            let object = turn.object(Operation::GetUsageAllocation, request.unique_identifier)?;
            get_usage_allocation::perform(turn, &object, &request).await?;
        }
        Request::Activate(request) => {
            let object = turn.object(Operation::Activate, request.unique_identifier)?;
            activate::perform(turn, &object).await?;
        }
        Request::Revoke(request) => {
            let object = turn.object(Operation::Revoke, request.unique_identifier)?;
            revoke::perform(turn, &object, request).await?;
        }
        Request::Destroy(request) => {
            let object = turn.object(Operation::Destroy, request.unique_identifier)?;
            destroy::perform(turn, &object).await?;
        }
        Request::Encrypt(request) => {
            let object = turn.object(Operation::Encrypt, request.unique_identifier)?;
            return encrypt::perform(turn, &object, &request).await;
        }
        Request::Decrypt(request) => {
            let object = turn.object(Operation::Decrypt, request.unique_identifier)?;
            return decrypt::perform(turn, &object, &request).await;
        }
        Request::Sign(request) => {
            let object = turn.object(Operation::Sign, request.unique_identifier)?;
            return sign::perform(turn, &object, &request).await;
        }
        Request::SignatureVerify(request) => {
            let object = turn.object(Operation::SignatureVerify, request.unique_identifier)?;
            return sign::verify(turn, &object, &request).await;
        }
        Request::Mac(request) => {
            let object = turn.object(Operation::Mac, request.unique_identifier)?;
            return mac::perform(turn, &object, &request).await;
        }
        Request::MacVerify(request) => {
            let object = turn.object(Operation::MacVerify, request.unique_identifier)?;
            return mac::verify(turn, &object, &request).await;
        }
        Request::Hash(request) => {
            let permitted = turn.system(Operation::Hash)?;
            hash::perform(turn, permitted, &request)?;
        }
        Request::RngRetrieve(request) => {
            let permitted = turn.system(Operation::RngRetrieve)?;
            rng::retrieve(turn, permitted, &request)?;
        }
        Request::RngSeed(request) => {
            let permitted = turn.system(Operation::RngSeed)?;
            rng::seed(turn, permitted, &request)?;
        }
        Request::Archive(request) => {
            let object = turn.object(Operation::Archive, request.unique_identifier)?;
            archive::perform(turn, &object).await?;
        }
        Request::Recover(request) => {
            let object = turn.object(Operation::Recover, request.unique_identifier)?;
            recover::perform(turn, &object).await?;
        }
        Request::CreateSplitKey(request) => create_split_key::perform(turn, request).await?,
        Request::JoinSplitKey(request) => join_split_key::perform(turn, request).await?,
        Request::Validate(request) => {
            let permitted = turn.system(Operation::Validate)?;
            validate::perform(turn, permitted, &request).await?;
        }
        Request::Cancel(request) => {
            let permitted = turn.system(Operation::Cancel)?;
            cancel::perform(turn, permitted, &request)?;
        }
        Request::Poll(request) => {
            let permitted = turn.system(Operation::Poll)?;
            return poll::perform(turn, permitted, &request, epoch).await;
        }
    }
    Ok(Done { epoch })
}
