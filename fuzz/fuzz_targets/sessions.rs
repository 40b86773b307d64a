//! Bytes from a client whose certificate is good, as one session of a whole server: real store, locked memory, policies, audit.
//! Each session belongs to a system of its own, which has nothing yet: an input does the same each time, however many came before.
//!
//! The first byte of an input says how the rest arrives: 0, message by message, each after the answer to the one before; else in
//! pieces of that many times 16 bytes, without waiting. A text `00000000-0000-4000-8000-0000000000NN` is the session's object of that
//! number. Besides panics, and the engine's limits of time and memory, it is a finding when the server leaves a request without an
//! answer, answers with no message, with more than it may, or keeps a connection. A session that does not end is the engine's to find: no
//! clock runs here, so a run can be stopped and go on.

#![no_main]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a finding is a panic"
)]

use std::cell::RefCell;

use fuzz::{seeds::SLOT, tree};
use kmip::{
    Operation, ProtocolVersion, Tag,
    message::{AnswerMessage, RequestMessage},
    ttlv::{HEADER_BYTES, Kind, Limits, Structure, parse},
};
use kmip_server::rig::Rig;
use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target, fuzzer_mutate};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    runtime::{Builder, Runtime},
};

/// Sessions of one server. Its store and its locked memory fill with what they create.
const SESSIONS_PER_SERVER: u32 = 1_000;
/// Most bytes that one message is answered with: the server's own limit, and the head of an item that names it.
const ANSWER_BYTES_MAX: usize = (2 << 20) + 4_096;
/// What the client does not read at once.
const ROOM_BYTES: usize = 64 * 1024;
/// Most objects that a session can name.
const SLOTS_MAX: usize = 100;

struct Site {
    runtime: Runtime,
    rig: Rig,
    sessions: u32,
}

impl Site {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let rig = runtime.block_on(Rig::patient());
        Self { runtime, rig, sessions: 0 }
    }
}

thread_local!(static SITE: RefCell<Option<Site>> = const { RefCell::new(None) });

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((&pace, input)) = data.split_first() else { return Corpus::Reject };
    if is_dear(input) {
        return Corpus::Reject;
    }
    SITE.with_borrow_mut(|site| {
        if site.as_ref().is_none_or(|site| site.sessions >= SESSIONS_PER_SERVER) {
            // The one before ends first: what it holds is given back.
            *site = None;
        }
        let site = site.get_or_insert_with(Site::new);
        site.sessions += 1;
        site.runtime.block_on(session(&site.rig, site.sessions, pace, input));
        assert_eq!(site.rig.connections(), 0, "the server keeps a connection");
    });
    Corpus::Keep
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    tree::mutate(&mut data[..max_size], size, 1, seed, fuzzer_mutate)
});

/// Making RSA keys takes tenths of a second, which would be all that is measured.
fn is_dear(input: &[u8]) -> bool {
    let mut rest = input;
    while let Some(end) = tree::end_of(rest) {
        let (frame, after) = rest.split_at(end);
        let pairs = |message: RequestMessage<'_>| {
            message.items.iter().any(|item| item.operation == Some(Operation::CreateKeyPair.code()))
        };
        if RequestMessage::read(frame, &Limits::REQUEST).is_ok_and(pairs) {
            return true;
        }
        rest = after;
    }
    false
}

async fn session(rig: &Rig, number: u32, pace: u8, input: &[u8]) {
    let (mut client, ended) = rig.session(number, ROOM_BYTES);
    let mut objects = vec![];
    let rest = if pace == 0 { in_turn(&mut client, input, &mut objects).await } else { Some(input) };
    if let Some(rest) = rest {
        let piece = usize::from(pace.max(1)) * 16;
        let (mut from, mut to) = tokio::io::split(client);
        let send = async {
            for piece in rest.chunks(piece) {
                // The server may have ended it.
                if to.write_all(piece).await.is_err() {
                    break;
                }
            }
            let _ = to.shutdown().await;
        };
        let mut answers = vec![];
        let (_, read) = tokio::join!(send, from.read_to_end(&mut answers));
        read.unwrap();
        check_all(&answers);
    }
    ended.await.unwrap();
}

/// Sends message by message; what is left when something is no message.
async fn in_turn<'i>(client: &mut DuplexStream, mut input: &'i [u8], objects: &mut Vec<String>) -> Option<&'i [u8]> {
    while let Some(end) = tree::end_of(input).filter(|_| input.starts_with(&[0x42, 0, 0x78, 1])) {
        let (frame, rest) = input.split_at(end);
        let mut frame = frame.to_vec();
        fill(&mut frame, objects);
        client.write_all(&frame).await.unwrap();
        let mut answer = vec![0; HEADER_BYTES];
        client.read_exact(&mut answer).await.expect("each message is answered");
        let length = usize::try_from(u32::from_be_bytes(answer[4..].try_into().unwrap())).unwrap();
        assert!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes");
        answer.resize(HEADER_BYTES + length, 0);
        client.read_exact(&mut answer[HEADER_BYTES..]).await.unwrap();
        let root = check(&answer);
        learn(root, objects);
        input = rest;
    }
    Some(input)
}

/// Puts the names of objects where the input has their numbers.
fn fill(frame: &mut [u8], objects: &[String]) {
    // A value begins at a multiple of 8.
    for place in (0..frame.len()).step_by(8) {
        let Some(slot) = frame.get_mut(place..place + SLOT.len() + 2) else { break };
        if !slot.starts_with(SLOT.as_bytes()) {
            continue;
        }
        let number =
            slot[SLOT.len()..].iter().fold(0, |sum, digit| sum * 10 + usize::from(digit.wrapping_sub(b'0') % 10));
        if let Some(id) = objects.get(number).filter(|id| id.len() == slot.len()) {
            slot.copy_from_slice(id.as_bytes());
        }
    }
}

/// Remembers the objects that an answer names.
fn learn(structure: Structure<'_>, objects: &mut Vec<String>) {
    for item in structure.items() {
        match item.kind {
            Kind::Structure => learn(item.structure().unwrap(), objects),
            Kind::TextString if item.tag == Tag::UNIQUE_IDENTIFIER => {
                let id = item.text().unwrap().to_owned();
                if objects.len() < SLOTS_MAX && !objects.contains(&id) && !id.starts_with(SLOT) {
                    objects.push(id);
                }
            }
            _ => {}
        }
    }
}

fn check(answer: &[u8]) -> Structure<'_> {
    assert!(answer.len() <= ANSWER_BYTES_MAX, "an answer of {} bytes", answer.len());
    let message = AnswerMessage::read(answer, ProtocolVersion::V1_4, &Limits::ANSWER);
    message.unwrap_or_else(|error| panic!("the answer is no message: {error}"));
    parse(answer, &Limits::ANSWER).unwrap()
}

fn check_all(mut answers: &[u8]) {
    while !answers.is_empty() {
        let (frame, rest) = answers.split_at(tree::end_of(answers).expect("answers are messages"));
        check(frame);
        answers = rest;
    }
}
