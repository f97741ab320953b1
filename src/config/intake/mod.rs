//! `source`: where webhooks come in, and by which keys.

pub(in crate::config) mod api_keys;
pub(in crate::config) mod source;
