//! Text to tree to values: what files include, and the decoder that every key is read by.

pub(in crate::config) mod condition;
pub(in crate::config) mod decode;
pub(in crate::config) mod foreign;
pub(in crate::config) mod include;
pub(in crate::config) mod names;
pub(in crate::config) mod near;
pub(in crate::config) mod pattern;
pub(in crate::config) mod units;
