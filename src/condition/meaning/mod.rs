//! What a condition means on a payload.

pub(in crate::condition) mod compare;
pub(in crate::condition) mod evaluate;
