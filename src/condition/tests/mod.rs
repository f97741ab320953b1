//! What holds for conditions as a whole.

mod compliance;
mod errors;
mod language;
mod properties;
