//! The node: composition roots of both planes, the cluster that joins them, and the `kcm` command line.

pub mod cluster;
pub mod demo;
