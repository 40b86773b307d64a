//! A notice is one thing to tell; a delivery is one notice on its way over one channel, to one address.

use orbital::{
    names::{Channel, Correlation, Group, Mailbox, Person, ProposalId, TenantId, TenantName},
    routing::Occasion,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Longest value of a notice's line, in bytes: what people wrote may be longer, and is read where it is signed.
const LINE_BYTES_MAX: usize = 512;

/// One thing to tell, the same to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The same for the same thing: what is told twice has the same id at the receiver.
    pub about: String,
    /// None of a test.
    pub occasion: Option<Occasion>,
    pub tenant: TenantId,
    pub name: TenantName,
    /// When it happened, Unix milliseconds.
    pub at_ms: u64,
    pub title: String,
    /// What else there is to say, label and value.
    pub lines: Vec<(String, String)>,
    /// Where to look.
    pub link: String,
    pub proposal: Option<ProposalId>,
    pub correlation: Option<Correlation>,
    /// It is about a stop: it goes first, in a queue of its own.
    pub stop: bool,
    /// Whom it waits for.
    pub groups: Vec<Group>,
    pub people: Vec<Person>,
    /// What an on-call system counts as one incident.
    pub incident: String,
    /// The incident is over.
    pub closes: bool,
}

impl Notice {
    pub(crate) fn word(&self) -> &'static str {
        self.occasion.map_or("test", Occasion::word)
    }
    /// Adds a line, cut where it is long.
    pub(crate) fn line(&mut self, label: &str, value: impl ToString) {
        let value = value.to_string();
        let at = (0..=LINE_BYTES_MAX).rev().find(|at| value.is_char_boundary(*at)).unwrap_or(0);
        let shown = match value.get(..at) {
            Some(cut) if value.len() > LINE_BYTES_MAX => format!("{cut}…"),
            _ => value,
        };
        if !shown.is_empty() {
            self.lines.push((label.to_owned(), shown));
        }
    }
}

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// In the queue, also between two attempts.
    Waiting,
    /// The receiver took it.
    Delivered,
    /// The receiver refuses it, or every attempt failed.
    Failed,
    /// It was never tried: the queue was full, or its channel is no more.
    Dropped,
}

impl std::str::FromStr for DeliveryState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Waiting, Self::Delivered, Self::Failed, Self::Dropped];
        let found = all.into_iter().find(|state| state.name() == text);
        found.ok_or_else(|| format!("`{text}` is none of waiting, delivered, failed, dropped"))
    }
}

impl DeliveryState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// One notice on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: String,
    pub channel: Channel,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Mailbox>,
    pub state: DeliveryState,
    /// When it was taken up, Unix milliseconds.
    pub created_ms: u64,
    /// Of its last attempt.
    pub tried_ms: Option<u64>,
    pub attempts: u32,
    /// What the last attempt ended in, where it did not end well.
    pub why: String,
    pub notice: Notice,
}

/// Characters of a delivery's id: 132 bits of its digest.
const ID_CHARACTERS: usize = 22;

impl Delivery {
    pub(crate) fn new(notice: &Notice, channel: &Channel, to: Option<Mailbox>, now_ms: u64) -> Self {
        let to_text = to.as_ref().map_or("", Mailbox::as_str);
        let digest = Sha256::digest(format!("{}\n{}\n{channel}\n{to_text}", notice.tenant, notice.about));
        let text = orbital::names::Digest(digest.into()).to_string();
        Self {
            // A letter first: a digest may begin with a hyphen, which a command line takes for an option.
            id: format!("n{}", text.chars().take(ID_CHARACTERS).collect::<String>()),
            channel: channel.clone(),
            to,
            state: DeliveryState::Waiting,
            created_ms: now_ms,
            tried_ms: None,
            attempts: 0,
            why: String::new(),
            notice: notice.clone(),
        }
    }
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    pub tenant: Option<TenantId>,
    pub channel: Option<Channel>,
    pub state: Option<DeliveryState>,
}
