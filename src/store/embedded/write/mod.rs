//! What the writer writes: the only part that changes the file while a relay runs, beside `upkeep`.

pub mod batch;
pub mod commit;
pub mod dedupe;
pub mod handover;
pub mod line;
pub mod redrive;
pub mod release;
pub mod session;
pub mod standing;
