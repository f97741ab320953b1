//! A text of routes.yaml as a template: cut into tokens, compiled by minijinja, and what is said of one that fails.

pub(in crate::transform) mod failure;
pub(in crate::transform) mod foreign;
pub(in crate::transform) mod methods;
pub(in crate::transform) mod origin;
pub(in crate::transform) mod source;
pub(in crate::transform) mod syntax;
pub(in crate::transform) mod template;
pub(in crate::transform) mod vocabulary;
