//! The files: whose they are, how they are opened, and what damage shows in them.

pub mod connection;
pub mod errors;
pub mod files;
pub mod lock;
pub mod private;
pub mod wal;
