//! Encrypt and Decrypt in several parts (KMIP 1.4 §4.29, §4.30): what the server keeps of a client between two of them.
//!
//! A stream keeps the client's data and never a key: each part borrows the key anew, so a stop, a policy or a new state of the key holds for the
//! next part already. What an encryption gives out so far is the beginning of the whole ciphertext; a decryption gives out nothing before its last
//! part, when the tag or the padding has been seen.

use std::collections::HashMap;

use custody::{aead::BLOCK_BYTES, dek::Mode, names::ObjectId};
use orbital::names::{System, TenantId};
use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::{
    correlation::{Correlation, draw},
    refusal::{Outcome, fail, invalid_field},
};

/// Most bytes of one stream.
pub(crate) const STREAM_BYTES_MAX: usize = 1024 * 1024;
/// Most streams of a tenant at once. For one more, the one that has been idle longest gives way.
pub(crate) const STREAMS_PER_TENANT_MAX: usize = 32;
/// How long a stream waits for its next part, in seconds.
pub(crate) const STREAM_IDLE_S: i64 = 60;

/// What a stream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Encrypt,
    Decrypt,
}

/// Which part of an operation a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// All of it.
    Whole,
    First,
    Middle(&'a [u8]),
    Last(&'a [u8]),
}

impl<'a> Part<'a> {
    /// Reads the three fields that say so.
    pub(crate) fn of(init: Option<bool>, correlation: Option<&'a [u8]>, last: Option<bool>) -> Outcome<Self> {
        match (init.unwrap_or(false), correlation, last.unwrap_or(false)) {
            (true, Some(_), _) => Err(invalid_field("the first part (Init Indicator) has no Correlation Value yet")),
            (true, None, false) => Ok(Self::First),
            (false, Some(correlation), false) => Ok(Self::Middle(correlation)),
            (false, Some(correlation), true) => Ok(Self::Last(correlation)),
            (true, None, true) | (false, None, false) => Ok(Self::Whole),
            (false, None, true) => {
                Err(invalid_field("the last part (Final Indicator) needs the Correlation Value of the parts before it"))
            }
        }
    }
}

/// Whose stream it is and what for: a part that differs in any of it finds none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) tenant: TenantId,
    pub(crate) system: System,
    pub(crate) caller: String,
    pub(crate) object: ObjectId,
    pub(crate) direction: Direction,
}

/// What the parts so far have said.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) owner: Owner,
    pub(crate) mode: Mode,
    /// Bytes of the tag that the first part asked for.
    pub(crate) tag_bytes: usize,
    pub(crate) iv: Option<Vec<u8>>,
    pub(crate) additional: Vec<u8>,
    pub(crate) data: Zeroizing<Vec<u8>>,
    /// Bytes of the result that the client has.
    pub(crate) given: usize,
    touched_s: i64,
}

impl Stream {
    pub(crate) fn new(owner: Owner, mode: Mode, tag_bytes: usize, iv: Option<&[u8]>, additional: &[u8]) -> Self {
        Self {
            owner,
            mode,
            tag_bytes,
            iv: iv.map(<[u8]>::to_vec),
            additional: additional.to_vec(),
            // All the room it may take: growing would leave a copy behind.
            data: Zeroizing::new(Vec::with_capacity(STREAM_BYTES_MAX)),
            given: 0,
            touched_s: 0,
        }
    }

    /// What of the data so far encrypts to bytes that no later part changes.
    pub(crate) fn settled(&self) -> &[u8] {
        let blockwise = matches!(self.mode, Mode::Block(block) if block.chaining.is_blockwise());
        let bytes = if blockwise { self.data.len() / BLOCK_BYTES * BLOCK_BYTES } else { self.data.len() };
        self.data.get(..bytes).unwrap_or_default()
    }

    pub(crate) fn add(&mut self, data: &[u8]) -> Outcome<()> {
        if self.data.len().saturating_add(data.len()) > STREAM_BYTES_MAX {
            return Err(invalid_field(format!(
                "the parts together are longer than {STREAM_BYTES_MAX} bytes; send longer data in one part"
            )));
        }
        self.data.extend_from_slice(data);
        Ok(())
    }
}

/// The streams of a region that wait for their next part.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<HashMap<Correlation, Stream>>);

impl Streams {
    /// Keeps a stream until its next part, under its name or a new one.
    pub(crate) fn keep(&self, name: Option<Correlation>, mut stream: Stream, now_s: i64) -> Outcome<Correlation> {
        let name = name.map_or_else(draw, Ok)?;
        stream.touched_s = now_s;
        let tenant = stream.owner.tenant;
        let mut kept = self.0.lock();
        kept.retain(|_, stream| now_s.saturating_sub(stream.touched_s) <= STREAM_IDLE_S);
        let own = || kept.iter().filter(|(_, stream)| stream.owner.tenant == tenant);
        if own().count() >= STREAMS_PER_TENANT_MAX {
            let oldest = own().min_by_key(|(_, stream)| stream.touched_s).map(|(name, _)| *name);
            oldest.and_then(|name| kept.remove(&name));
        }
        kept.insert(name, stream);
        Ok(name)
    }

    /// Takes the stream that this part belongs to. Whatever becomes of the part, nobody else has the stream meanwhile.
    pub(crate) fn take(&self, correlation: &[u8], owner: &Owner, now_s: i64) -> Outcome<(Correlation, Stream)> {
        let unknown = || {
            // §11.30, §11.31.
            let message = format!(
                "no stream of this client, key and operation has this Correlation Value; it waits {STREAM_IDLE_S} s for its next part, \
                 and ends with a failure"
            );
            fail(kmip::ResultReason::ItemNotFound, message)
        };
        let name = Correlation::try_from(correlation).map_err(|_| unknown())?;
        let mut kept = self.0.lock();
        let fits = |stream: &Stream| stream.owner == *owner && now_s.saturating_sub(stream.touched_s) <= STREAM_IDLE_S;
        if !kept.get(&name).is_some_and(fits) {
            return Err(unknown());
        }
        kept.remove(&name).map(|stream| (name, stream)).ok_or_else(unknown)
    }

    /// The tenant is stopped: what its clients had sent is wiped.
    pub(crate) fn drop_tenant(&self, tenant: &TenantId) {
        self.0.lock().retain(|_, stream| stream.owner.tenant != *tenant);
    }
}

#[cfg(test)]
mod tests {
    use custody::dek::{Block, Chaining, Padding};
    use kmip::ResultReason;

    use super::*;
    use crate::caller::tests::tenant;

    fn owner(of: u8) -> Owner {
        Owner {
            tenant: tenant(of),
            system: System::new("orders").unwrap(),
            caller: "client".to_owned(),
            object: ObjectId::from_random([1; 16]),
            direction: Direction::Encrypt,
        }
    }

    fn stream(of: u8) -> Stream {
        let mode = Mode::Block(Block { chaining: Chaining::Ctr, padding: Padding::None });
        Stream::new(owner(of), mode, 0, Some(&[0; 16]), b"")
    }

    #[test]
    fn parts_are_what_their_fields_say() {
        let name: Option<&[u8]> = Some(b"name");
        assert_eq!(Part::of(None, None, None), Ok(Part::Whole));
        assert_eq!(Part::of(Some(false), None, Some(false)), Ok(Part::Whole));
        assert_eq!(Part::of(Some(true), None, Some(true)), Ok(Part::Whole));
        assert_eq!(Part::of(Some(true), None, None), Ok(Part::First));
        assert_eq!(Part::of(None, name, None), Ok(Part::Middle(b"name")));
        assert_eq!(Part::of(None, name, Some(true)), Ok(Part::Last(b"name")));
        for wrong in [Part::of(Some(true), name, None), Part::of(None, None, Some(true))] {
            assert_eq!(wrong.err().map(|failure| failure.reason), Some(ResultReason::InvalidField));
        }
    }

    #[test]
    fn a_stream_is_its_owners_and_is_taken_once() {
        let streams = Streams::default();
        let name = streams.keep(None, stream(1), 100).unwrap();
        let others = [
            owner(2),
            Owner { system: System::new("billing").unwrap(), ..owner(1) },
            Owner { caller: "other".to_owned(), ..owner(1) },
            Owner { object: ObjectId::from_random([2; 16]), ..owner(1) },
            Owner { direction: Direction::Decrypt, ..owner(1) },
        ];
        for other in &others {
            assert!(streams.take(&name, other, 100).is_err(), "{other:?}");
        }
        assert!(streams.take(&name[..15], &owner(1), 100).is_err());
        assert!(streams.take(&name, &owner(1), 100).is_ok());
        assert!(streams.take(&name, &owner(1), 100).is_err(), "it is with the other part");
    }

    #[test]
    fn a_stream_waits_for_a_minute_and_not_longer() {
        let streams = Streams::default();
        let name = streams.keep(None, stream(1), 100).unwrap();
        assert!(streams.take(&name, &owner(1), 101 + STREAM_IDLE_S).is_err());
        let (name, kept) = streams.take(&name, &owner(1), 100 + STREAM_IDLE_S).unwrap();
        streams.keep(Some(name), kept, 200).unwrap();
        streams.keep(None, stream(2), 201 + STREAM_IDLE_S).unwrap();
        assert_eq!(streams.0.lock().len(), 1, "what is over is wiped when another comes");
    }

    #[test]
    fn a_tenant_has_so_many_streams_and_takes_none_from_others() {
        let streams = Streams::default();
        let other = streams.keep(None, stream(2), 0).unwrap();
        let most = i64::try_from(STREAMS_PER_TENANT_MAX).unwrap();
        let names: Vec<_> = (0..=most).map(|at| streams.keep(None, stream(1), at).unwrap()).collect();
        assert!(streams.take(&names[0], &owner(1), most).is_err(), "the one that was idle longest gave way");
        assert!(names[1..].iter().all(|name| streams.0.lock().contains_key(name)));
        assert!(streams.take(&other, &owner(2), most).is_ok());
        streams.drop_tenant(&tenant(1));
        assert!(streams.0.lock().is_empty());
    }

    #[test]
    fn a_stream_has_a_limit() {
        let mut stream = stream(1);
        stream.add(&vec![0; STREAM_BYTES_MAX]).unwrap();
        assert!(stream.add(&[0]).is_err());
    }
}
