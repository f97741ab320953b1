//! What is allowed and hardly ever meant: the warnings of `check`, by what is known of the events.

pub(in crate::config) mod attributes;
pub(in crate::config) mod kinds;
pub(in crate::config) mod known_paths;
pub(in crate::config) mod known_values;
pub(in crate::config) mod lookalikes;
pub(in crate::config) mod members;
pub(in crate::config) mod nulls;
pub(in crate::config) mod readers;
pub(in crate::config) mod replies;
pub(in crate::config) mod tried;
