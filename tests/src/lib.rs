//! What the tests of the whole share: the tree as files, for walls and tidy.

pub mod tree;
