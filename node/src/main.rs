//! kcm
fn main() {}
