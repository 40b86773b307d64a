//! The command line as people meet it: its help, its errors, and whole errands against a real portal.

mod armed;
mod auditors;
mod errands;
pub(super) mod house;
mod words;
