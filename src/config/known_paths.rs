//! The paths of a payload that Wiza is known to send. A rule over another path is probably a slip, but only probably:
//! Wiza adds fields, and other kinds of callbacks have others. So these give warnings, never errors.

use std::ops::Range;

use crate::condition::{Condition, PathRoot, Query, Step, Surprise, UsedPath};
use crate::transform::ReadPath;

use super::decode::Decoder;
use super::finding::quoted;
use super::report::Draft;
use super::text::Text;
use super::yaml::Node;

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

/// Those of the paths above that are in every reveal, and never null. All others are null or left out in one of the
/// samples, or may be: a failed reveal has little more than these.
const ALWAYS: [&str; 7] = ["type", "status.code", "status.message", "data.id", "data.status", "data.is_complete", "data.enrichment_level"];

/// The payload's own keys.
const ROOTS: [&str; 3] = ["status", "type", "data"];

/// Those of the paths above that lead to lists.
pub(super) const LISTS: [&str; 2] = ["data.emails", "data.phones"];

/// Of the relay's own facts about an event.
const EVENT: &[&str] = &["id", "received_at", "path", "query.*"];

/// Warnings about the paths of one string, at most: what a long one repeats is one slip.
pub(super) const WARNINGS_MAX: usize = 20;

impl Decoder<'_> {
    /// Warns of what a condition says that is hardly ever meant, above all of paths that Wiza is not known to send, or
    /// that are no fact of the relay's.
    pub(super) fn warn_of_condition(&mut self, node: &Node, text: &Text, condition: &Condition) {
        self.warn_of_paths(node, text, &condition.paths(), condition.surprises());
    }

    /// The same for a path `$...`.
    pub(super) fn warn_of_query(&mut self, node: &Node, text: &Text, path: &str) {
        if let Ok(query) = Query::parse(path) {
            self.warn_of_paths(node, text, &query.paths(), query.surprises());
        }
    }

    fn warn_of_paths(&mut self, node: &Node, text: &Text, paths: &[UsedPath], surprises: Vec<Surprise>) {
        let in_scalar = |span: &Range<usize>| text.offset_in_scalar(span.start)..text.offset_in_scalar(span.end);
        // One word about one place is enough.
        let is_said = |used: &UsedPath| surprises.iter().take(WARNINGS_MAX).any(|surprise| surprise.span == used.span);
        let unknown = paths.iter().filter(|used| is_unknown(used)).take(WARNINGS_MAX).filter(|used| !is_said(used));
        for used in unknown {
            let near = self.near_path(used);
            // `valid == data.email_status`, `data.company_domain == acme.com`
            let is_word = near.is_none() && used.root == PathRoot::Payload && !used.steps.contains(&Step::Element);
            let finding = self.warn_of(node, in_scalar(&used.span), used, near);
            if is_word && used.names().first().is_some_and(|first| !ROOTS.contains(first)) {
                finding.hint(format!("if a text is meant, put it in quotes: \"{}\"", used.names().join(".")));
            }
        }
        for (used, list, name) in paths.iter().filter_map(list_without_index).take(WARNINGS_MAX) {
            self.warn_of_list(node, in_scalar(&used.span), &list, name)
                .hint(format!("write `{list}[0].{name}` for the first, `{list}[?@.{name} == ...]` to test each of them"));
        }
        self.warn_of_surprises(node, text, surprises);
    }

    /// Warns of what is right and hardly ever meant.
    pub(super) fn warn_of_surprises(&mut self, node: &Node, text: &Text, surprises: Vec<Surprise>) {
        for Surprise { span, message, hint } in surprises.into_iter().take(WARNINGS_MAX) {
            let range = text.offset_in_scalar(span.start)..text.offset_in_scalar(span.end);
            self.warning_in(node, range, message).hint(hint);
        }
    }

    /// `data.emails.email` looks for a name in a list, which has none.
    fn warn_of_list(&mut self, node: &Node, range: Range<usize>, list: &str, name: &str) -> &mut Draft {
        self.warning_in(node, range, format!("`{list}` is a list, so `{list}.{name}` finds nothing"))
    }

    /// The same for a template. An author who says that a path may be absent, or who begins it with `payload.`, knows
    /// of payloads that this list does not: only what looks like a slip is worth a word then.
    pub(super) fn warn_of_unknown_in_template(&mut self, node: &Node, reads: &[ReadPath]) {
        // Conditions see no route.
        let is_route = |used: &UsedPath| used.root == PathRoot::Event && used.names() == ["route"];
        let unknown = reads.iter().filter(|read| is_unknown(&read.path) && !is_route(&read.path));
        for ReadPath { path, may_be_absent, is_explicit } in unknown.take(WARNINGS_MAX) {
            let near = self.near_path(path);
            let is_slip = near.as_deref().is_some_and(|near| is_slip(path.names().last().copied(), near));
            if is_slip || !(*may_be_absent || *is_explicit) {
                self.warn_of(node, path.span.clone(), path, near);
            }
        }
        for (used, list, name) in reads.iter().filter_map(|read| list_without_index(&read.path)).take(WARNINGS_MAX) {
            self.warn_of_list(node, used.span.clone(), &list, name)
                .hint(format!("write `{list}[0].{name}` for the first, `{list} | map(attribute=\"{name}\") | join(\", \")` for all"));
        }
    }

    fn warn_of(&mut self, node: &Node, range: Range<usize>, used: &UsedPath, near: Option<String>) -> &mut Draft {
        let path = quoted(&format!("{}{}", prefix(used), used.names().join(".")));
        let message = match used.root {
            PathRoot::Payload => format!("Wiza is not known to send {path}"),
            PathRoot::Event => format!("the relay has no fact {path} about an event"),
        };
        let finding = self.warning_in(node, range, message);
        match near {
            Some(near) => finding.hint(format!("did you mean `{near}`?")),
            None if used.root == PathRoot::Event => {
                finding.hint("there are `event.id`, `event.received_at`, `event.path` and `event.query.NAME`");
            }
            None => {}
        }
        finding
    }

    /// The known path that was probably meant.
    fn near_path(&mut self, used: &UsedPath) -> Option<String> {
        let names = used.names();
        let path = names.join(".");
        let known = known(used);
        // Behind a known field, whatever follows is the slip.
        let fields = known.iter().map(|known| known.trim_end_matches(".*"));
        let parents = ["status", "data", "data.emails", "data.phones"].into_iter().filter(|_| used.root == PathRoot::Payload);
        let same_end = || known.iter().copied().find(|known| known.rsplit('.').next() == names.last().copied());
        let near = self.near(&path, fields.chain(parents)).or_else(same_end)?;
        Some(format!("{}{near}", prefix(used)))
    }
}

/// Whether the last name of a path differs from that of a known path by a letter or two only.
fn is_slip(last: Option<&str>, near: &str) -> bool {
    let known = near.rsplit('.').next().unwrap_or(near);
    last.is_some_and(|last| strsim::osa_distance(last, known) <= (known.len() / 5).max(1))
}

/// A path that looks for a name in a list, that list, and that name.
fn list_without_index(used: &UsedPath) -> Option<(&UsedPath, String, &str)> {
    let [Step::Name(data), Step::Name(list), Step::Name(name), ..] = used.steps.as_slice() else { return None };
    let path = format!("{data}.{list}");
    (used.root == PathRoot::Payload && LISTS.contains(&path.as_str())).then_some((used, path, name))
}

/// Whether Wiza (or the relay, for `event`) is not known to send this path; list indices and filters do not count.
fn is_unknown(used: &UsedPath) -> bool {
    let path = used.names().join(".");
    !path.is_empty() && !known(used).iter().any(|known| covers(known, &path))
}

/// Whether a path is one that Wiza sends, but not always with a value.
pub(super) fn may_be_null(used: &UsedPath) -> bool {
    let path = used.names().join(".");
    let leads_to_value = || ALWAYS.iter().any(|always| covers(always, &path));
    used.root == PathRoot::Payload && !path.is_empty() && !is_unknown(used) && !leads_to_value()
}

/// Whether these names, joined by dots, lead to something that Wiza sends.
pub(super) fn is_known(path: &str) -> bool {
    PAYLOAD.iter().any(|known| covers(known, path))
}

fn known(used: &UsedPath) -> &'static [&'static str] {
    match used.root {
        PathRoot::Payload => PAYLOAD,
        PathRoot::Event => EVENT,
    }
}

/// How a path from this root begins where it is written.
fn prefix(used: &UsedPath) -> &'static str {
    match used.root {
        PathRoot::Payload => "",
        PathRoot::Event => "event.",
    }
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
    use super::super::interpolate::Missing;
    use super::super::report::Report;
    use super::*;

    /// `None`: known; else the near one.
    fn verdict(root: PathRoot, path: &str) -> Option<Option<String>> {
        let steps = path.split('.').map(|name| Step::Name(name.to_owned())).collect();
        let used = UsedPath { root, steps, span: 0..0 };
        let mut decoder = Decoder::new(Report::new("f", ""), &|_| None, Missing::IsAnError);
        is_unknown(&used).then(|| decoder.near_path(&used))
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
