//! A mongod with encryption at rest, as a region sees it: our own replay of what Percona Server for MongoDB sends and how strictly it reads.
//!
//! No mongod with KMIP can be had here, so this is not one. Each session is a connection of its own, in KMIP 1.0 with Maximum Response
//! Size 8192 and a time stamp; answers are read by position, field after field, and a field out of its place is a broken server. What
//! follows from an answer is what the documentation and the published source say: start only with an Active key; at a poll end when the key
//! is gone or not Active, and go on, with a line in the log, when nobody answers or the server refuses for any other reason.

use std::sync::Arc;

use kmip::{
    Attribute, AttributeValue, KeyBlock, KeyMaterial, ManagedObject, Operation, ProtocolVersion, ResultReason,
    RevocationReason, State, SymmetricKey, Tag, TemplateAttribute, client,
    message::RequestHeader,
    ops::{self, Request},
    tables::{CryptographicAlgorithm, KeyFormatType, ObjectType, RevocationReasonCode, StandardAttribute},
    ttlv::{DateTime, Item, Limits, parse},
};
use node::{
    cluster::tls::TlsFiles,
    kmip_client::{KmipClient, KmipError, tls_config},
};

use crate::demo::Demo;

/// The replayed client takes no longer value.
const RESPONSE_BYTES_MAX: i32 = 8_192;
const KEY: [u8; 32] = [0x4d; 32];

/// One mongod: where it asks, as whom, and the key that it was initialised with.
pub(crate) struct Mongod {
    address: String,
    tls: Arc<rustls::ClientConfig>,
    id: String,
}

/// Why a mongod does not start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No connection, or none that lived: the host is down, or the handshake was refused.
    Unreachable,
    Reason(ResultReason),
    State(State),
}

/// What a running mongod does after a poll.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    RunsOn,
    /// It logs this and polls again later.
    Logs(Refused),
    ShutsDown(Refused),
}

impl From<KmipError> for Refused {
    fn from(error: KmipError) -> Self {
        error.reason().map_or(Self::Unreachable, Self::Reason)
    }
}

/// One connection.
struct Session(KmipClient);

impl Session {
    async fn open(mongod: &Mongod) -> Result<Self, Refused> {
        Ok(Self(KmipClient::connect(&mongod.address, mongod.tls.clone()).await?))
    }

    /// Sends a request; the answer, if it is a success.
    async fn ask(&mut self, request: &Request<'_>) -> Result<Vec<u8>, Refused> {
        let header = RequestHeader {
            maximum_response_size: Some(RESPONSE_BYTES_MAX),
            time_stamp: Some(DateTime(1_700_000_000)),
            ..RequestHeader::of(ProtocolVersion::V1_0)
        };
        let frame = self.0.exchange(&client::batch(header, std::slice::from_ref(request))).await?;
        assert!(frame.len() <= usize::try_from(RESPONSE_BYTES_MAX).unwrap());
        check(&frame, request.operation()).map_err(Refused::Reason)?;
        Ok(frame)
    }

    async fn state(&mut self, id: &str) -> Result<State, Refused> {
        let attribute_names = vec!["State"];
        let request = ops::get_attributes::Request { unique_identifier: Some(id), attribute_names };
        let frame = self.ask(&Request::GetAttributes(request)).await?;
        let fields = payload(&frame);
        let [named, attribute] = fields.as_slice() else { panic!("Unique Identifier and one attribute") };
        assert_eq!(named.text(), Ok(id));
        let parts: Vec<Item<'_>> = attribute.structure().unwrap().items().collect();
        // The index of an attribute that has no other may be left away.
        let (name, value) = (parts.first().unwrap(), parts.last().unwrap());
        assert_eq!((name.tag, name.text()), (Tag::ATTRIBUTE_NAME, Ok("State")));
        assert_eq!(value.tag, Tag::ATTRIBUTE_VALUE);
        Ok(State::from_code(value.enumeration().unwrap()).unwrap())
    }

    async fn key(&mut self, id: &str) -> Result<(), Refused> {
        let frame = self.ask(&Request::Get(ops::get::Request::of(id))).await?;
        let fields = payload(&frame);
        let [kind, named, object] = fields.as_slice() else { panic!("Object Type, Unique Identifier, object") };
        assert_eq!(kind.enumeration(), Ok(ObjectType::SymmetricKey.code()));
        assert_eq!(named.text(), Ok(id));
        let block = object.structure().unwrap().items().next().unwrap();
        let block: Vec<Item<'_>> = block.structure().unwrap().items().collect();
        let tags: Vec<Tag> = block.iter().map(|item| item.tag).collect();
        let expected = [Tag::KEY_FORMAT_TYPE, Tag::KEY_VALUE, Tag::CRYPTOGRAPHIC_ALGORITHM, Tag::CRYPTOGRAPHIC_LENGTH];
        assert_eq!(tags, expected, "and no Key Wrapping Data");
        assert_eq!(block[0].enumeration(), Ok(KeyFormatType::Raw.code()));
        let material = block[1].structure().unwrap().items().next().unwrap();
        assert_eq!(material.bytes(), Ok(KEY.as_slice()), "the key that was registered");
        Ok(())
    }
}

fn fields<'a>(item: &Item<'a>) -> Vec<Item<'a>> {
    item.structure().unwrap().items().collect()
}

/// The answer field by field: header, one item, the operation echoed.
fn check(frame: &[u8], operation: Operation) -> Result<(), ResultReason> {
    let root = parse(frame, &Limits::ANSWER).unwrap();
    assert_eq!(root.tag(), Tag::RESPONSE_MESSAGE);
    let parts: Vec<Item<'_>> = root.items().collect();
    let [header, item] = parts.as_slice() else { panic!("a header and one item") };
    let header = fields(header);
    let tags: Vec<Tag> = header.iter().map(|item| item.tag).collect();
    assert_eq!(tags, [Tag::PROTOCOL_VERSION, Tag::TIME_STAMP, Tag::BATCH_COUNT]);
    let version: Vec<i32> = fields(&header[0]).iter().map(|part| part.integer().unwrap()).collect();
    assert_eq!((version.as_slice(), header[2].integer()), ([1, 0].as_slice(), Ok(1)));
    let item = fields(item);
    assert_eq!((item[0].tag, item[0].enumeration()), (Tag::OPERATION, Ok(operation.code())));
    assert_eq!(item[1].tag, Tag::RESULT_STATUS);
    if item[1].enumeration() == Ok(0) {
        assert_eq!((item.len(), item[2].tag), (3, Tag::RESPONSE_PAYLOAD));
        return Ok(());
    }
    assert_eq!((item[2].tag, item[3].tag), (Tag::RESULT_REASON, Tag::RESULT_MESSAGE));
    Err(ResultReason::from_code(item[2].enumeration().unwrap()).unwrap())
}

fn payload(frame: &[u8]) -> Vec<Item<'_>> {
    let item = parse(frame, &Limits::ANSWER).unwrap().items().last().unwrap();
    fields(&fields(&item)[2])
}

impl Demo {
    /// A mongod of this tenant that was never started, configured for one region.
    pub(crate) fn mongod(&self, tenant: &str, node: &str) -> Mongod {
        let address = self.region(node)["kmip"]["address"].as_str().unwrap().to_owned();
        Mongod { address, tls: tls(&self.client(tenant)), id: String::new() }
    }
}

fn tls(files: &TlsFiles) -> Arc<rustls::ClientConfig> {
    tls_config(&files.ca, &files.cert, &files.key).unwrap()
}

impl Mongod {
    /// The same with another certificate.
    pub(crate) fn with(self, files: &TlsFiles) -> Self {
        Self { tls: tls(files), ..self }
    }

    /// The first start, with an empty data folder: the key is registered and activated, and read back in a second session.
    pub(crate) async fn first_start(mut self) -> Result<Self, Refused> {
        let mut session = Session::open(&self).await?;
        let attributes = [
            (
                StandardAttribute::CryptographicAlgorithm,
                AttributeValue::Enumeration(CryptographicAlgorithm::Aes.code()),
            ),
            (StandardAttribute::CryptographicLength, AttributeValue::Integer(256)),
            (StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(12)),
        ];
        let attributes = attributes.map(|(name, value)| Attribute::new(name, value)).to_vec();
        let key_block = KeyBlock {
            cryptographic_algorithm: Some(CryptographicAlgorithm::Aes),
            cryptographic_length: Some(256),
            ..KeyBlock::new(KeyFormatType::Raw, KeyMaterial::new(KEY.to_vec()))
        };
        let object = ManagedObject::SymmetricKey(SymmetricKey { key_block });
        let template = TemplateAttribute { template_names: vec![], attributes };
        let frame = session.ask(&Request::Register(ops::register::Request::of(object, template))).await?;
        let fields = payload(&frame);
        let [id] = fields.as_slice() else { panic!("Unique Identifier alone") };
        self.id = id.text().unwrap().to_owned();
        let activate = ops::activate::Request { unique_identifier: Some(&self.id) };
        let frame = session.ask(&Request::Activate(activate)).await?;
        assert_eq!(payload(&frame)[0].text(), Ok(self.id.as_str()), "the same key");
        self.restart().await?;
        Ok(self)
    }

    /// A start with the key that it has.
    pub(crate) async fn restart(&self) -> Result<(), Refused> {
        let mut session = Session::open(self).await?;
        match session.state(&self.id).await? {
            State::Active => session.key(&self.id).await,
            other => Err(Refused::State(other)),
        }
    }

    /// Someone ends the life of the key with KMIP's own Revoke, which is no kill switch.
    pub(crate) async fn deactivate_key(&self) {
        let code = RevocationReasonCode::CessationOfOperation;
        let request = ops::revoke::Request {
            unique_identifier: Some(&self.id),
            revocation_reason: RevocationReason { code, message: None },
            compromise_occurrence_date: None,
        };
        Session::open(self).await.unwrap().ask(&Request::Revoke(request)).await.unwrap();
    }

    /// What it does every `keyStatePollingSeconds`.
    pub(crate) async fn poll(&self) -> Polled {
        let state = async { Session::open(self).await?.state(&self.id).await };
        match state.await {
            Ok(State::Active) => Polled::RunsOn,
            Ok(other) => Polled::ShutsDown(Refused::State(other)),
            Err(gone @ Refused::Reason(ResultReason::ItemNotFound)) => Polled::ShutsDown(gone),
            Err(other) => Polled::Logs(other),
        }
    }
}
