//! Orbital: the language that both planes speak, and the only way between them.

pub mod names;
