//! A condition as text: canonical, explained, and by its paths.

pub(in crate::condition) mod canonical;
pub(in crate::condition) mod explain;
pub(in crate::condition) mod paths;
