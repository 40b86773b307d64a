//! The steward over a real keeper: what is acknowledged holds, also across a restart.
