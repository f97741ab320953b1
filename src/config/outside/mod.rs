//! Values that stand outside of the file: `${NAME}` and `${file:...}`, what may be wrong with them, and how they are kept out of sight.

pub(in crate::config) mod flaw;
pub(in crate::config) mod interpolate;
pub(in crate::config) mod secrets;
pub(in crate::config) mod url;
