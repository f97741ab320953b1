//! What null, absence, booleans and numbers may become in a template, where minijinja follows Python.

pub(in crate::transform) mod builtins;
pub(in crate::transform) mod comparing;
pub(in crate::transform) mod conversions;
pub(in crate::transform) mod digits;
pub(in crate::transform) mod functions;
pub(in crate::transform) mod kind;
pub(in crate::transform) mod lists;
pub(in crate::transform) mod printing;
pub(in crate::transform) mod questions;
pub(in crate::transform) mod strict;
