//! The fleet: the regions, a courier for each of their lanes, and the board that shows how they are.

mod board;

pub(crate) use board::Board;
