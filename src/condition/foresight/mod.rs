//! What is known of a condition before any event.

pub(in crate::condition) mod compared;
pub(in crate::condition) mod contradictions;
pub(in crate::condition) mod dead_ends;
pub(in crate::condition) mod guarantees;
pub(in crate::condition) mod pinned;
pub(in crate::condition) mod surprises;
