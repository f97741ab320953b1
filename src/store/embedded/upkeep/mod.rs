//! What the writer does between two commits.

pub mod believed;
pub mod checkpoint;
pub mod clock;
pub mod expiry;
pub mod give_up;
pub mod leftovers;
pub mod retention;
