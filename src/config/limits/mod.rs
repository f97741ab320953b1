//! What holds for the whole relay: `egress`, `retention` and `own_events`.

pub(in crate::config) mod egress;
pub(in crate::config) mod own_events;
pub(in crate::config) mod retention;
