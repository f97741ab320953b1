//! `destinations`, `defaults` and `preset`: one file per key, and the shapes of requests.

pub(in crate::config) mod auth;
pub(in crate::config) mod batch;
pub(in crate::config) mod destination;
pub(in crate::config) mod forms;
pub(in crate::config) mod present;
pub(in crate::config) mod preset;
pub(in crate::config) mod retry;
pub(in crate::config) mod shape;
pub(in crate::config) mod tls;
