//! The paths of a payload that Wiza is known to send. A rule over another path is probably a slip, but only probably:
//! Wiza adds fields, and other kinds of callbacks have others. So these give warnings, never errors.

use crate::condition::{PathRoot, UsedPath};

use super::decode::near;

/// Of the payload. What ends in `.*` may hold anything.
const PAYLOAD: &[&str] = &[
    "status.code",
    "status.message",
    "type",
    "data.id",
    "data.status",
    "data.is_complete",
    "data.fail_error",
    "data.name",
    "data.company",
    "data.enrichment_level",
    "data.linkedin_profile_url",
    "data.title",
    "data.location",
    "data.email",
    "data.email_type",
    "data.email_status",
    "data.emails.email",
    "data.emails.email_type",
    "data.emails.email_status",
    "data.mobile_phone",
    "data.phone_number",
    "data.phone_status",
    "data.phones.number",
    "data.phones.pretty_number",
    "data.phones.type",
    "data.company_domain",
    "data.company_industry",
    "data.company_size",
    "data.company_size_range",
    "data.company_revenue",
    "data.company_funding",
    "data.company_founded",
    "data.company_type",
    "data.company_linkedin",
    "data.company_locality",
    "data.company_region",
    "data.company_country",
    "data.company_street",
    "data.company_postal_code",
    "data.company_location",
    "data.company_description",
    "data.credits.*",
];

/// Of the relay's own facts about an event.
const EVENT: &[&str] = &["id", "received_at", "path", "query.*"];

/// A path that nobody is known to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// As it is written in a condition.
    pub path: String,
    /// The known one that was probably meant.
    pub near: Option<String>,
}

/// Whether Wiza (or the relay, for `event`) is known to send this path; list indices and filters do not count.
pub(super) fn check(used: &UsedPath) -> Option<Unknown> {
    let (known, prefix) = match used.root {
        PathRoot::Payload => (PAYLOAD, ""),
        PathRoot::Event => (EVENT, "event."),
    };
    let names = used.names();
    let path = names.join(".");
    if path.is_empty() || known.iter().any(|known| covers(known, &path)) {
        return None;
    }
    let last = names.last().copied();
    let same_end = || known.iter().copied().find(|known| known.rsplit('.').next() == last);
    // Behind a known field, whatever follows is the slip.
    let fields = || known.iter().map(|known| known.trim_end_matches(".*"));
    let parents = || ["status", "data", "data.emails", "data.phones"].into_iter().filter(|_| prefix.is_empty());
    let near = near(&path, fields().chain(parents())).or_else(same_end);
    Some(Unknown { path: format!("{prefix}{path}"), near: near.map(|near| format!("{prefix}{near}")) })
}

/// Whether `path` is `known`, or leads to it.
fn covers(known: &str, path: &str) -> bool {
    if let Some(free) = known.strip_suffix(".*") {
        return path == free || path.strip_prefix(free).is_some_and(|rest| rest.starts_with('.'));
    }
    known == path || known.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use crate::condition::Step;

    use super::*;

    fn verdict(root: PathRoot, path: &str) -> Option<Option<String>> {
        let steps = path.split('.').map(|name| Step::Name(name.to_owned())).collect();
        check(&UsedPath { root, steps, span: 0..0 }).map(|unknown| unknown.near)
    }

    #[test]
    fn known_paths_pass() {
        for path in ["data", "data.email", "data.emails", "data.emails.email", "status.code", "type", "data.credits.used.total"] {
            assert_eq!(verdict(PathRoot::Payload, path), None, "{path}");
        }
        for path in ["id", "query", "query.campaign", "path"] {
            assert_eq!(verdict(PathRoot::Event, path), None, "{path}");
        }
    }

    #[test]
    fn unknown_paths_have_a_near_one() {
        for (path, near) in [
            ("data.emial", Some("data.email")),
            ("data.email_staus", Some("data.email_status")),
            ("data.phone", Some("data.phones")),
            ("email_status", Some("data.email_status")),
            ("statuss.code", Some("status.code")),
            ("data.favourite_colour", None),
        ] {
            assert_eq!(verdict(PathRoot::Payload, path), Some(near.map(str::to_owned)), "{path}");
        }
        assert_eq!(verdict(PathRoot::Event, "pth"), Some(Some("event.path".into())));
    }
}
