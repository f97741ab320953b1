//! The files: whose they are, and what damage shows in them.

pub mod private;
pub mod wal;
