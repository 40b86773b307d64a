//! What the soft L1 and its callers say to each other: one JSON object a line, over TLS, length-limited.
//!
//! `custody::l1::Soft` and `kcm soft-l1 …` ask, `node::soft_l1` answers. Version 1; a field that is not known is refused.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use zeroize::Zeroizing;

use super::Context;

/// Longest line either side reads, in bytes, its newline included: the longest blob in base64 and the rest with room.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// One question, with the credential of the principal that asks.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub token: Token,
    pub ask: Ask,
}

/// What is asked; the first three by a principal, the rest by the admin of the soft L1 alone.
#[derive(Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    Describe { key: String },
    Wrap { key: String, context: Vec<(String, String)>, plain: Bytes },
    Unwrap { key: String, context: Vec<(String, String)>, wrapped: Bytes },
    Disable { key: String },
    Enable { key: String },
    ScheduleDeletion { key: String },
    CancelDeletion { key: String },
    Delete { key: String },
    Deny { key: String, principal: String },
    Allow { key: String, principal: String },
}

/// The state of a key at the soft L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SoftState {
    Enabled,
    Disabled,
    PendingDeletion,
    /// Its bytes are wiped; the name is never given to another key.
    Deleted,
}

/// The answer to one question.
#[derive(Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    Described { state: SoftState, resolved: String },
    Wrapped { wrapped: Bytes },
    Plain { plain: Bytes },
    Done { state: SoftState },
    Refused { code: Code, why: String },
}

/// Why a question is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The token is nobody's: a fault of the caller's credential, never a stop.
    UnknownPrincipal,
    /// The principal is known and the key's policy says no.
    Denied,
    Disabled,
    PendingDeletion,
    NoSuchKey,
    Mismatch,
    /// The question can't be read or is out of bounds.
    Malformed,
    /// The soft L1 could not store what was asked.
    Broken,
}

/// A bearer token. Never shown.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }
    /// The text, for the wire and for a digest to compare with.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}
impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(Self::new)
    }
}

/// Bytes as base64url without padding, wiped on drop.
pub struct Bytes(pub Zeroizing<Vec<u8>>);

impl Bytes {
    pub fn copy(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&Zeroizing::new(URL_SAFE_NO_PAD.encode(&*self.0)))
    }
}
impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(d)?);
        let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).map_err(|_| de::Error::custom("not base64url"))?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}

/// A context as it crosses the wire.
pub fn context_pairs(context: &Context) -> Vec<(String, String)> {
    context.pairs().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// One message as a line, its newline included.
pub fn line<T: Serialize>(message: &T) -> Result<Zeroizing<Vec<u8>>, LineFault> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LINE_BYTES_MAX));
    serde_json::to_writer(&mut *bytes, message).map_err(|e| LineFault::Unreadable(e.to_string()))?;
    bytes.push(b'\n');
    if bytes.len() > LINE_BYTES_MAX { Err(LineFault::TooLong) } else { Ok(bytes) }
}

/// Reads one line; `None` where the other side closed between two lines.
pub async fn read_line<R: AsyncBufRead + Unpin>(from: &mut R) -> Result<Option<Zeroizing<Vec<u8>>>, LineFault> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LINE_BYTES_MAX));
    let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    from.take(limit).read_until(b'\n', &mut bytes).await.map_err(|e| LineFault::Broken(e.to_string()))?;
    match bytes.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(bytes)),
        Some(_) if bytes.len() >= LINE_BYTES_MAX => Err(LineFault::TooLong),
        Some(_) => Err(LineFault::Broken("the connection closed within a line".to_owned())),
    }
}

/// Decodes one line; the message names the place, never the content.
pub fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, LineFault> {
    serde_json::from_slice(line).map_err(|e| {
        let what = if e.is_data() { "not a message of this protocol" } else { "not JSON" };
        LineFault::Unreadable(format!("{what}, at column {}", e.column()))
    })
}

/// Why a line could not be sent or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineFault {
    TooLong,
    Unreadable(String),
    Broken(String),
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "a line has at most {LINE_BYTES_MAX} bytes"),
            Self::Unreadable(why) | Self::Broken(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[tokio::test]
    async fn a_line_ends_at_its_newline_and_at_the_limit() {
        let mut two: &[u8] = b"{}\n[]\n";
        assert_eq!(read_line(&mut two).await.unwrap().unwrap().as_slice(), b"{}\n");
        assert_eq!(read_line(&mut two).await.unwrap().unwrap().as_slice(), b"[]\n");
        assert!(read_line(&mut two).await.unwrap().is_none());
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        assert_eq!(read_line(&mut long.as_slice()).await.unwrap_err(), LineFault::TooLong);
        let mut cut: &[u8] = b"{\"token";
        assert!(matches!(read_line(&mut cut).await.unwrap_err(), LineFault::Broken(_)));
    }

    #[test]
    fn unknown_fields_are_refused_and_not_repeated() {
        let text = br#"{"token":"t","ask":{"op":"describe","key":"soft:a","secret":"hunter2"}}"#;
        let Err(fault) = parse::<Request>(text) else { panic!("accepted") };
        assert!(!fault.to_string().contains("hunter2"), "{fault}");
        let golden = br#"{"token":"t","ask":{"op":"describe","key":"soft:a"}}"#;
        assert!(matches!(parse::<Request>(golden).map(|r| r.ask), Ok(Ask::Describe { key }) if key == "soft:a"));
    }

    proptest! {
        #[test]
        fn bytes_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let line = line(&Reply::Wrapped { wrapped: Bytes::copy(&bytes) }).unwrap();
            let Ok(Reply::Wrapped { wrapped }) = parse(&line) else { panic!("not read back") };
            prop_assert_eq!(&*wrapped.0, &bytes);
        }

        #[test]
        fn no_line_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<Request>(&bytes).is_ok();
        }
    }
}
