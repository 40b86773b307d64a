//! The demo's addresses on loopback: a block of ports that no other demo has, and that the system gives to no connection by itself.
//!
//! A port that is free now may be another's when its process comes to listen, or comes back after a crash: another demo may have drawn it,
//! or any outgoing connection, since the system takes the local ports of those from a range of its own. So a demo takes a whole block below
//! that range and holds the block's first port for as long as it lives.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use super::{DemoError, people::seed};

/// The first port of the first block.
const FIRST: u16 = 10_240;
/// Ports of a block: its guard, and more than a demo needs.
const BLOCK_PORTS: u16 = 32;
/// Blocks up to 32,768, where Linux begins to take the ports of connections from (`net.ipv4.ip_local_port_range`).
const BLOCKS: u16 = (32_768 - FIRST) / BLOCK_PORTS;

/// Holds a block: no other demo takes a port of it.
#[derive(Debug)]
pub struct Guard {
    /// The block's first port. Nobody connects to it.
    _first: TcpListener,
}

/// A block, and the ports of it that were handed out: held until all are known, so that none is another program's.
pub(super) struct Ports {
    guard: TcpListener,
    held: Vec<TcpListener>,
    left: std::ops::Range<u16>,
}

fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

fn none_left() -> DemoError {
    DemoError::Port(io::Error::new(io::ErrorKind::AddrInUse, "each block of ports below 32768 is taken"))
}

impl Ports {
    /// Takes the first free block after a random one.
    pub(super) fn take() -> Result<Self, DemoError> {
        let [high, low, ..] = seed()?;
        let from = u16::from_be_bytes([high, low]) % BLOCKS;
        let firsts = (0..BLOCKS).map(|n| FIRST + (from + n) % BLOCKS * BLOCK_PORTS);
        let taken = firsts.into_iter().find_map(|first| Some((first, bind(first).ok()?)));
        let (first, guard) = taken.ok_or_else(none_left)?;
        Ok(Self { guard, held: Vec::new(), left: first + 1..first + BLOCK_PORTS })
    }

    /// The next free port.
    pub(super) fn next(&mut self) -> Result<SocketAddr, DemoError> {
        let held = self.left.find_map(|port| bind(port).ok()).ok_or_else(none_left)?;
        let address = held.local_addr().map_err(DemoError::Port)?;
        self.held.push(held);
        Ok(address)
    }

    /// Frees the ports for those who listen at them; the block stays the demo's.
    pub(super) fn free(self) -> Guard {
        Guard { _first: self.guard }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_demos_share_no_port() {
        let (mut ours, mut theirs) = (Ports::take().unwrap(), Ports::take().unwrap());
        let mut drawn: Vec<_> = (0..12).flat_map(|_| [ours.next().unwrap(), theirs.next().unwrap()]).collect();
        drawn.sort();
        drawn.dedup();
        assert_eq!(drawn.len(), 24);
        assert!(drawn.iter().all(|address| (FIRST..32_768).contains(&address.port())));
    }

    #[test]
    fn a_block_stays_taken_when_its_ports_are_free() {
        let mut ports = Ports::take().unwrap();
        let address = ports.next().unwrap();
        let guard = ports.free();
        assert!(TcpListener::bind(address).is_ok());
        assert!(TcpListener::bind(guard._first.local_addr().unwrap()).is_err());
    }
}
