//! `routes` and `unmatched`: which events go where, and the conditions (also those of a destination).

pub(in crate::config) mod event_sources;
pub(in crate::config) mod guard;
pub(in crate::config) mod route;
pub(in crate::config) mod stops;
