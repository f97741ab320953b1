//! What is wrong, and where: findings, the report that collects them, and the files that their places are in.

pub(in crate::config) mod files;
pub(in crate::config) mod finding;
pub(in crate::config) mod report;
