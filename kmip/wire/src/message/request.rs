//! Requests: header and batch items, read by a server and written by a client.

use super::{BATCH_ITEMS_MAX, credential::Authentication};
use crate::{
    error::WireError,
    ops,
    tables::{BatchErrorContinuation, ProtocolVersion, Tag},
    ttlv::{DateTime, Enumeration, Item, Limits, Open, Structure, Value, Writer, parse, record},
};

record! {
    /// The header of a request (§7.2, table 282). Credentials are read and not used: the certificate alone says who calls. A
    /// Time Stamp may be any: nothing here goes by a client's clock. No operation needs an attestation.
    pub struct RequestHeader<'a> {
        need version: ProtocolVersion = PROTOCOL_VERSION V1_0,
        /// Bytes.
        opt maximum_response_size: i32 = MAXIMUM_RESPONSE_SIZE V1_0,
        opt client_correlation_value: &'a str = CLIENT_CORRELATION_VALUE V1_4,
        opt server_correlation_value: &'a str = SERVER_CORRELATION_VALUE V1_4,
        opt asynchronous_indicator: bool = ASYNCHRONOUS_INDICATOR V1_0,
        opt attestation_capable_indicator: bool = ATTESTATION_CAPABLE_INDICATOR V1_2,
        many attestation_types: Enumeration = ATTESTATION_TYPE V1_2,
        opt authentication: Structure<'a> = AUTHENTICATION V1_0,
        opt batch_error_continuation: BatchErrorContinuation = BATCH_ERROR_CONTINUATION_OPTION V1_0,
        opt batch_order: bool = BATCH_ORDER_OPTION V1_0,
        opt time_stamp: DateTime = TIME_STAMP V1_0,
        need batch_count: i32 = BATCH_COUNT V1_0,
    }
}

impl RequestHeader<'_> {
    /// The header with the required fields alone, as libmongocrypt sends it.
    pub fn of(version: ProtocolVersion) -> Self {
        Self {
            version,
            maximum_response_size: None,
            client_correlation_value: None,
            server_correlation_value: None,
            asynchronous_indicator: None,
            attestation_capable_indicator: None,
            attestation_types: vec![],
            authentication: None,
            batch_error_continuation: None,
            batch_order: None,
            time_stamp: None,
            batch_count: 1,
        }
    }
}

/// A request that is refused as a whole: there is nothing to answer item by item.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// The version to answer in: the request's if one could be read.
    pub version: ProtocolVersion,
    pub error: WireError,
}

impl Refused {
    /// A message of which no more than `begun` is read.
    pub fn early(begun: &[u8], error: WireError) -> Self {
        Self { version: glimpse(begun).unwrap_or(ProtocolVersion::V1_0), error }
    }
}

/// One item of a batch. Its payload is read when its turn comes: a fault in it, or in what stands around it, fails this item alone.
pub struct RequestItem<'a> {
    /// The operation's code, known or not: the answer echoes it.
    pub operation: Option<u32>,
    pub unique_batch_item_id: Option<&'a [u8]>,
    payload: Result<Structure<'a>, WireError>,
}

impl<'a> RequestItem<'a> {
    /// Reads the payload as `version` defines it.
    pub fn request(&self, version: ProtocolVersion) -> Result<ops::Request<'a>, WireError> {
        let payload = self.payload.clone()?;
        let missing = WireError::Missing { structure: Tag::BATCH_ITEM, field: Tag::OPERATION };
        ops::Request::read(self.operation.ok_or(missing)?, payload, version)
    }
}

/// A request with its items.
pub struct RequestMessage<'a> {
    pub header: RequestHeader<'a>,
    /// 1 to [`BATCH_ITEMS_MAX`]; if more than one, each has its own Unique Batch Item ID.
    pub items: Vec<RequestItem<'a>>,
}

record! {
    /// A batch item as it came (§6.15).
    struct Head<'a> {
        opt operation: Enumeration = OPERATION V1_0,
        opt unique_batch_item_id: &'a [u8] = UNIQUE_BATCH_ITEM_ID V1_0,
        opt request_payload: Item<'a> = REQUEST_PAYLOAD V1_0,
        opt message_extension: Extension<'a> = MESSAGE_EXTENSION V1_0,
    }
}

record! {
    struct Extension<'a> {
        need vendor_identification: &'a str = VENDOR_IDENTIFICATION V1_0,
        need criticality_indicator: bool = CRITICALITY_INDICATOR V1_0,
        need vendor_extension: Structure<'a> = VENDOR_EXTENSION V1_0,
    }
}

impl<'a> RequestMessage<'a> {
    /// Reads a whole frame.
    pub fn read(frame: &'a [u8], limits: &Limits) -> Result<Self, Refused> {
        let root = parse(frame, limits).map_err(|error| Refused::early(frame, error))?;
        let version = version_of(root).map_err(|error| Refused { version: ProtocolVersion::V1_0, error })?;
        Self::read_versioned(root, version).map_err(|error| Refused { version, error })
    }

    fn read_versioned(root: Structure<'a>, version: ProtocolVersion) -> Result<Self, WireError> {
        if root.tag() != Tag::REQUEST_MESSAGE {
            return Err(WireError::NotAMessage { expected: Tag::REQUEST_MESSAGE, found: root.tag() });
        }
        if !version.is_understood() {
            return Err(WireError::Version { found: version });
        }
        let (mut header, mut items, mut found) = (None, Vec::with_capacity(1), 0);
        for item in root.items() {
            match item.tag {
                Tag::REQUEST_HEADER => root.fill(&mut header, item.tag, RequestHeader::read(&item, version)?)?,
                Tag::BATCH_ITEM => {
                    found += 1;
                    if found <= BATCH_ITEMS_MAX {
                        items.push(read_item(&item, version)?);
                    }
                }
                unknown => root.unknown(unknown, version)?,
            }
        }
        let header = root.need(Tag::REQUEST_HEADER, header)?;
        if found > BATCH_ITEMS_MAX {
            return Err(WireError::BatchTooLarge { max: BATCH_ITEMS_MAX, found });
        }
        if found == 0 || usize::try_from(header.batch_count) != Ok(found) {
            return Err(WireError::BatchCount { announced: i64::from(header.batch_count), found });
        }
        if let Some(size) = header.maximum_response_size.filter(|&size| size <= 0) {
            return Err(WireError::OutOfRange { field: Tag::MAXIMUM_RESPONSE_SIZE, found: i64::from(size) });
        }
        if let Some(authentication) = header.authentication {
            <Authentication<'_> as crate::ttlv::Record<'_>>::read_fields(authentication, version)?.check(version)?;
        }
        if found > 1 && !have_own_ids(&items) {
            return Err(WireError::BatchItemId);
        }
        Ok(Self { header, items })
    }
}

/// Reads an item. What is wrong with it waits in its payload and fails the item alone (§11.1).
fn read_item<'a>(item: &Item<'a>, version: ProtocolVersion) -> Result<RequestItem<'a>, WireError> {
    // §6.16: a critical extension that is not understood rejects the entire message, another one is as if it were absent.
    let critical = WireError::Unsupported { what: "a critical Message Extension" };
    let item = match Head::read(item, version) {
        Ok(item) => item,
        Err(_) if fields(item).any(|field| is_critical(&field)) => return Err(critical),
        Err(error) => return Ok(faulty(item, error)),
    };
    if item.message_extension.is_some_and(|extension| extension.criticality_indicator) {
        return Err(critical);
    }
    let missing = WireError::Missing { structure: Tag::BATCH_ITEM, field: Tag::REQUEST_PAYLOAD };
    let payload = item.request_payload.ok_or(missing).and_then(|payload| payload.structure());
    Ok(RequestItem {
        operation: item.operation.map(|code| code.0),
        unique_batch_item_id: item.unique_batch_item_id,
        payload,
    })
}

/// An item that cannot be read: with what its answer echoes, where that can be found.
fn faulty<'a>(item: &Item<'a>, error: WireError) -> RequestItem<'a> {
    let mut operations = fields(item).filter(|field| field.tag == Tag::OPERATION);
    let mut ids = fields(item).filter(|field| field.tag == Tag::UNIQUE_BATCH_ITEM_ID);
    RequestItem {
        operation: operations.find_map(|field| field.enumeration().ok()),
        unique_batch_item_id: ids.find_map(|field| field.bytes().ok()),
        payload: Err(error),
    }
}

/// The fields of a structure; of anything else, none.
fn fields<'a>(item: &Item<'a>) -> impl Iterator<Item = Item<'a>> + use<'a> {
    item.structure().into_iter().flat_map(|structure| structure.items())
}

fn is_critical(field: &Item<'_>) -> bool {
    let says_so = |item: Item<'_>| item.tag == Tag::CRITICALITY_INDICATOR && item.boolean() == Ok(true);
    field.tag == Tag::MESSAGE_EXTENSION && fields(field).any(says_so)
}

/// §7.2: with more than one item each needs an ID, and answers can only be told apart if the IDs differ.
fn have_own_ids(items: &[RequestItem<'_>]) -> bool {
    let mut ids: Vec<&[u8]> = items.iter().filter_map(|item| item.unique_batch_item_id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.len() == items.len()
}

fn version_of(root: Structure<'_>) -> Result<ProtocolVersion, WireError> {
    let header = child(root, Tag::REQUEST_HEADER)?.structure()?;
    ProtocolVersion::read(&child(header, Tag::PROTOCOL_VERSION)?, ProtocolVersion::V1_0)
}

fn child<'a>(structure: Structure<'a>, field: Tag) -> Result<Item<'a>, WireError> {
    let missing = WireError::Missing { structure: structure.tag(), field };
    structure.items().find(|item| item.tag == field).ok_or(missing)
}

/// The version of a frame that cannot be parsed, if its first bytes are those of a request: it stands at a fixed place.
fn glimpse(frame: &[u8]) -> Option<ProtocolVersion> {
    const BEFORE_MAJOR: usize = 4 * 8;
    const BEFORE_MINOR: usize = 6 * 8;
    let tag_at = |at: usize| frame.get(at..at + 3).map(|tag| tag.iter().fold(0u32, |tag, &b| tag << 8 | u32::from(b)));
    let integer_at = |at: usize| frame.get(at..)?.first_chunk().copied().map(i32::from_be_bytes);
    if tag_at(0)? != Tag::REQUEST_MESSAGE.0 || tag_at(BEFORE_MAJOR - 8)? != Tag::PROTOCOL_VERSION_MAJOR.0 {
        return None;
    }
    Some(ProtocolVersion { major: integer_at(BEFORE_MAJOR)?, minor: integer_at(BEFORE_MINOR)? })
}

/// Writes a request: the client's side.
pub struct RequestWriter<'o> {
    writer: Writer<'o>,
    message: Open,
}

impl<'o> RequestWriter<'o> {
    /// Begins a message; `header.batch_count` must be the number of items that follow.
    pub fn begin(out: &'o mut Vec<u8>, header: &RequestHeader<'_>) -> Self {
        let mut writer = Writer::new(out, header.version);
        let message = writer.open(Tag::REQUEST_MESSAGE);
        header.write(Tag::REQUEST_HEADER, &mut writer);
        Self { writer, message }
    }

    pub fn item(&mut self, unique_batch_item_id: Option<&[u8]>, request: &ops::Request<'_>) {
        self.writer.structure(Tag::BATCH_ITEM, |writer| {
            request.operation().write(Tag::OPERATION, writer);
            if let Some(id) = unique_batch_item_id {
                writer.bytes(Tag::UNIQUE_BATCH_ITEM_ID, id);
            }
            writer.structure(Tag::REQUEST_PAYLOAD, |writer| request.write_fields(writer));
        });
    }

    pub fn finish(mut self) {
        self.writer.close(self.message);
    }
}
