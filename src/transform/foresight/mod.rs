//! What a template reads, prints and asks for, before there is any event: for `check`.

pub(in crate::transform) mod asks;
pub(in crate::transform) mod assurance;
pub(in crate::transform) mod hazards;
pub(in crate::transform) mod prints;
pub(in crate::transform) mod reads;
