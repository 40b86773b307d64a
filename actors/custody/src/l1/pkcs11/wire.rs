//! What a node and the process that has loaded a PKCS#11 module say to each other: one JSON object a line, over a socket that only the
//! two have. Both are the same program, so the form has no version.

use serde::{Deserialize, Serialize};

use crate::l1::soft_wire::{Bytes, Token};

/// The first line: which token, and who signs in. No other line comes before its questions.
#[derive(Serialize, Deserialize)]
pub(super) struct Opening {
    pub(super) module: String,
    pub(super) token_label: String,
    pub(super) token_serial: Option<String>,
    pub(super) pin: Token,
}

/// One question. `key` is the reference as the link has it.
#[derive(Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum Ask {
    Describe { key: String },
    Wrap { key: String, aad: Bytes, plain: Bytes },
    Unwrap { key: String, aad: Bytes, wrapped: Bytes },
}

/// The answer to one question.
#[derive(Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(super) enum Reply {
    Described { enabled: bool },
    Wrapped { wrapped: Bytes },
    Plain { plain: Bytes },
    Refused { kind: Kind, why: String },
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The customer took the key's use away (CKA_ENCRYPT, CKA_DECRYPT).
    Disabled,
    /// The token is there, takes our PIN and has no such key.
    Deleted,
    Mismatch,
    Unfit,
    /// The token does not take this PIN. Trying it again could lock the token.
    Pin,
    /// There is no such module, slot or token now.
    Absent,
    /// The session or what it knew is no longer true: a new process may see something else.
    Stale,
    /// The token failed by itself.
    Broken,
}
