//! What holds for templates and requests as a whole.

mod compliance;
mod forms;
mod hazards;
mod properties;
mod requests;
mod strict;
mod table;
pub(in crate::transform) mod templates;
