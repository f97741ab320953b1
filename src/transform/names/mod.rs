//! The names that a template sees, and what stands behind each of them.

pub(in crate::transform) mod context;
pub(in crate::transform) mod scope;
pub(in crate::transform) mod view;
