//! The parts of a request: URL, headers, bodies, batches.

pub(in crate::transform) mod address;
pub(in crate::transform) mod batch;
pub(in crate::transform) mod body;
pub(in crate::transform) mod declared;
pub(in crate::transform) mod header;
pub(in crate::transform) mod present;
pub(in crate::transform) mod selection;
pub(in crate::transform) mod shape;
