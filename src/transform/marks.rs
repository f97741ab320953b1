//! Marks by which parts of the engine know each other: names that templates cannot use, and the details of errors that are put into
//! words later.

/// Names that templates cannot use, and payloads cannot provide.
pub(in crate::transform) const RESERVED_PREFIX: &str = "__relay_";

/// The details of errors raised by the relay's own filters, told apart by identity of text when they are put into words.
pub(in crate::transform) const NULL_PRINTED: &str = "null printed";
/// Where a filter, an operator or a loop meets it.
pub(in crate::transform) const NULL_USED: &str = "null used";
pub(in crate::transform) const FUNCTION_PRINTED: &str = "function printed";

/// What an error's detail begins with whose words may be shown: they come from here, and hold no value.
pub(in crate::transform) const SAYS: &str = "wiza-relay says: ";

/// Whether an error's detail is one of these.
pub(in crate::transform) fn is_named(detail: &str) -> bool {
    matches!(detail, NULL_PRINTED | NULL_USED | FUNCTION_PRINTED)
}
