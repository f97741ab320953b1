//! Why rules did not take effect.

use crate::config::{Finding, Severity};
use crate::deliver::Unprepared;
use crate::rules_file::ReadError;
use crate::store::StoreError;

/// Why rules did not take effect.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The file, or one that it includes, cannot be read.
    #[error("{0}")]
    Unread(#[source] ReadError),
    /// The file has errors. Warnings are among these findings too.
    #[error("{}", told(.0))]
    Invalid(Vec<Finding>),
    /// Nothing can be sent to a destination.
    #[error("{0}")]
    Unprepared(#[from] Unprepared),
    /// The store does not take the names.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The relay has come to its end meanwhile.
    #[error("the relay is stopping")]
    Stopping,
    /// What takes the rules has panicked.
    #[error("the relay itself failed while it took the rules, which is a bug; restart it")]
    Panicked,
}

impl Refusal {
    /// Whether a second look found what this one did. What the store and a destination's client say is not asked again before
    /// something else has changed, so it is never the same.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unread(error), Self::Unread(other)) => error == other,
            (Self::Invalid(findings), Self::Invalid(others)) => errors(findings).eq(errors(others)),
            (Self::Stopping, Self::Stopping) => true,
            _ => false,
        }
    }
}

fn errors(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Error)
}

/// `2 errors, the first at routes.yaml:3:7`
fn told(findings: &[Finding]) -> String {
    let place = errors(findings).next().map(|first| format!("{}:{}:{}", first.file, first.line, first.column)).unwrap_or_default();
    match errors(findings).count() {
        1 => format!("1 error, at {place}"),
        count => format!("{count} errors, the first at {place}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;

    fn invalid(text: &str) -> Refusal {
        Refusal::Invalid(crate::config::load("routes.yaml", text, &|_| None).findings)
    }

    #[test]
    fn a_second_look_is_the_same_only_where_the_same_stands_in_the_way() {
        let unread = |kind: io::ErrorKind| Refusal::Unread(ReadError::File(PathBuf::from("routes.yaml"), kind.into()));
        assert!(unread(io::ErrorKind::NotFound).is_same(&unread(io::ErrorKind::NotFound)));
        assert!(!unread(io::ErrorKind::NotFound).is_same(&unread(io::ErrorKind::PermissionDenied)));
        assert!(!unread(io::ErrorKind::NotFound).is_same(&invalid("source: {}")));
        assert!(invalid("source: {}").is_same(&invalid("source: {}")));
        // Both say as many errors, the first at the same place.
        let (one, other) = (invalid("{a: 1}"), invalid("{b: 1}"));
        assert_eq!(one.to_string(), other.to_string());
        assert!(!one.is_same(&other));
    }
}
