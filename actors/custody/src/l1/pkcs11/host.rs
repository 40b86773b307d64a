//! The process that loads a PKCS#11 module: the vendor's C code runs here and nowhere else, so that no fault of it reads the region's keys,
//! ends the node or holds one of its threads. It has one socket, which is its standard input, and ends with it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
};

use rustix::process::{Signal, set_parent_process_death_signal};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::{
    token::{Refusal, Token},
    wire::{Ask, Kind, Opening, Reply},
};
use crate::{
    l1::soft_wire::{LINE_BYTES_MAX, line, parse},
    vault::harden_process,
};

/// Answers on standard input until it closes. The program that calls this becomes that process.
///
/// # Errors
/// A sentence that says why the process could not begin or go on.
pub fn pkcs11_host() -> Result<(), String> {
    harden_process().map_err(|e| e.to_string())?;
    // Whoever hangs in a module does not notice that its socket closed.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| e.to_string())?;
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from).map_err(|e| e.to_string())?;
    let mut writer = socket.try_clone().map_err(|e| e.to_string())?;
    let mut reader = BufReader::new(socket);
    let Some(opening) = read::<Opening>(&mut reader)? else { return Ok(()) };
    let mut token = None;
    while let Some(ask) = read::<Ask>(&mut reader)? {
        let reply =
            answer(&mut token, &opening, ask).unwrap_or_else(|no| Reply::Refused { kind: no.kind, why: no.why });
        let bytes = line(&reply).map_err(|e| e.to_string())?;
        writer.write_all(&bytes).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn answer(open: &mut Option<Token>, opening: &Opening, ask: Ask) -> Result<Reply, Refusal> {
    if let Some(token) = open {
        // A key that an older session does not see may be behind a token that was taken away: a fresh look decides.
        return token
            .answer(ask)
            .map_err(|no| if no.kind == Kind::Deleted { Refusal { kind: Kind::Stale, ..no } } else { no });
    }
    open.insert(Token::open(opening)?).answer(ask)
}

fn read<T: DeserializeOwned>(from: &mut BufReader<UnixStream>) -> Result<Option<T>, String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LINE_BYTES_MAX));
    let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    from.by_ref().take(limit).read_until(b'\n', &mut bytes).map_err(|e| e.to_string())?;
    if bytes.is_empty() { Ok(None) } else { parse(&bytes).map(Some).map_err(|e| e.to_string()) }
}
