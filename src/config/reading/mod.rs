//! Text to tree to values: the files, what they include, places, findings, and the decoder that every key is read by.

pub(in crate::config) mod decode;
pub(in crate::config) mod files;
pub(in crate::config) mod finding;
pub(in crate::config) mod include;
pub(in crate::config) mod names;
pub(in crate::config) mod pattern;
pub(in crate::config) mod report;
pub(in crate::config) mod units;
