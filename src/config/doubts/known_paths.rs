//! Paths of rules that nothing known has. Such a path is probably a slip, but only probably: Wiza adds fields, and there may be
//! kinds of webhooks that nobody here has seen. So these give warnings, never errors.

use std::ops::Range;

use crate::condition::{Condition, PathRoot, Shape, Step, Surprise, UsedPath};
use crate::event::EventSource;
use crate::transform::{ReadPath, Selection};

use super::kinds::{Kinds, covers};
use super::lookalikes::fact;
use crate::config::findings::finding::quoted;
use crate::config::findings::report::Draft;
use crate::config::reading::decode::{Accounts, Decoder};
use crate::config::yaml::{Content, Node};
use crate::text::Text;

/// The payload's own keys.
const ROOTS: [&str; 4] = ["status", "type", "data", "data_json"];

/// Paths that lead to lists.
pub(in crate::config) const LISTS: [&str; 3] = ["data.emails", "data.phones", "data.contacts"];

/// Of the relay's own facts about an event.
const EVENT: &[&str] = &["id", "received_at", "path", "query.*", "account", "source"];

/// Warnings about the paths of one string, at most: what a long one repeats is one slip.
pub(in crate::config) const WARNINGS_MAX: usize = 20;

impl Decoder<'_> {
    /// Warns of what a condition says that is hardly ever meant, above all of paths that Wiza is not known to send, or
    /// that are no fact of the relay's.
    pub(in crate::config) fn warn_of_condition(&mut self, node: &Node, text: &Text, condition: &Condition) {
        self.warn_of_sources(node, text, condition);
        self.warn_of_paths(node, text, &condition.paths(), condition.surprises(), &Kinds::taken_by(condition));
        self.warn_of_surprises(node, text, condition.dead_ends(&shape_at));
    }

    /// The same for a path `$...`, or `@...` inside of `$each`.
    pub(in crate::config) fn warn_of_selection(&mut self, node: &Node, text: &Text, selection: &Selection) {
        let paths = selection.paths_from(self.element.as_deref());
        let mut paths = if self.scope.of_batch { Vec::new() } else { paths };
        // `$.event.id` looks for the relay's facts in the payload.
        let is_fact = |used: &UsedPath| used.root == PathRoot::Payload && fact(&used.names().join("."));
        for used in paths.extract_if(.., |used| is_fact(used)).take(WARNINGS_MAX) {
            let range = text.offset_in_scalar(used.span.start)..text.offset_in_scalar(used.span.end);
            let name = used.names().join(".");
            self.warning_in(node, range, format!("`$.{name}` looks into the payload, and `{name}` is a fact of the relay's"))
                .hint(format!("write `\"{{{{ {name} }}}}\"`"));
        }
        self.warn_of_paths(node, text, &paths, selection.surprises(), &Kinds::of_both());
        if !self.scope.of_batch {
            self.warn_of_surprises(node, text, selection.dead_ends(&shape_at));
        }
    }

    fn warn_of_paths(&mut self, node: &Node, text: &Text, paths: &[UsedPath], surprises: Vec<Surprise>, kinds: &Kinds) {
        let in_scalar = |span: &Range<usize>| text.offset_in_scalar(span.start)..text.offset_in_scalar(span.end);
        // One word about one place is enough.
        let is_said = |used: &UsedPath| surprises.iter().take(WARNINGS_MAX).any(|surprise| surprise.span == used.span);
        let unknown = paths.iter().filter(|used| is_unknown(used, kinds)).take(WARNINGS_MAX).filter(|used| !is_said(used));
        let unknown = unknown.filter(|used| list_without_index(used).is_none());
        for used in unknown {
            let near = self.near_path(used, kinds);
            // `valid == data.email_status`, `data.company_domain == acme.com`
            let is_word = near.is_none() && used.root == PathRoot::Payload && !used.steps.contains(&Step::Element);
            let finding = self.warn_of(node, in_scalar(&used.span), used, kinds, near);
            if is_word && used.names().first().is_some_and(|first| !ROOTS.contains(first)) {
                finding.hint(format!("if a text is meant, put it in quotes: \"{}\"", used.names().join(".")));
            }
        }
        for (used, list, name) in paths.iter().filter_map(list_without_index).take(WARNINGS_MAX) {
            let is_around = self.element.as_ref().is_some_and(|element| names_of(element).join(".") == list) && self.scope.in_each;
            let finding = self.warn_of_list(node, in_scalar(&used.span), &list, name);
            finding.hint(match name {
                _ if is_around => format!("write `@.{name}` for that of the element"),
                "length" | "size" | "count" => format!("write `length({list})`, as in `length({list}) > 0`"),
                _ => format!("write `{list}[0].{name}` for the first, `{list}[?@.{name} == ...]` to test each of them"),
            });
        }
        let accounts = self.accounts.clone();
        if let Some(accounts) = accounts.filter(|accounts| accounts.names.is_empty()) {
            for used in paths.iter().filter(|used| is_account(used)).take(WARNINGS_MAX) {
                self.warn_of_account(node, in_scalar(&used.span), &accounts);
            }
        }
        self.warn_of_surprises(node, text, surprises);
    }

    /// Warns of what is right and hardly ever meant.
    pub(in crate::config) fn warn_of_surprises(&mut self, node: &Node, text: &Text, surprises: Vec<Surprise>) {
        for Surprise { span, message, hint } in surprises.into_iter().take(WARNINGS_MAX) {
            let range = text.offset_in_scalar(span.start)..text.offset_in_scalar(span.end);
            self.warning_in(node, range, message).hint(hint);
        }
    }

    /// `event.account` where no key, or not every key, has a name.
    fn warn_of_account(&mut self, node: &Node, range: Range<usize>, accounts: &Accounts) {
        if accounts.names.is_empty() {
            self.warning_in(node, range, "`event.account` is always absent, because no API key has a name")
                .hint("name them under `source`: `api_keys: [{ name: emea, key: \"${WIZA_API_KEY}\" }]`");
        } else {
            self.warning_in(node, range, "`event.account` is absent where an event came with an API key that has no name")
                .hint("give every key a name, or say what to use then: `| default(\"none\")`");
        }
    }

    /// `data.emails.email` looks for a name in a list, which has none.
    fn warn_of_list(&mut self, node: &Node, range: Range<usize>, list: &str, name: &str) -> &mut Draft {
        self.warning_in(node, range, format!("`{list}` is a list, so `{list}.{name}` finds nothing"))
    }

    /// The same for a template. An author who says that a path may be absent, or who begins it with `payload.`, knows
    /// of payloads that this list does not: only what looks like a slip is worth a word then.
    pub(in crate::config) fn warn_of_unknown_in_template(&mut self, node: &Node, reads: &[ReadPath]) {
        // Conditions see no route.
        let is_route = |used: &UsedPath| used.root == PathRoot::Event && used.names() == ["route"];
        let kinds = Kinds::of_both();
        let unknown = reads.iter().filter(|read| is_unknown(&read.path, &kinds) && !is_route(&read.path));
        for ReadPath { path, may_be_absent, is_explicit } in unknown.take(WARNINGS_MAX) {
            let near = self.near_path(path, &kinds);
            let is_slip = near.as_deref().is_some_and(|near| is_slip(path.names().last().copied(), near));
            if is_slip || !(*may_be_absent || *is_explicit) {
                self.warn_of(node, path.span.clone(), path, &kinds, near);
            }
        }
        let accounts = self.accounts.clone();
        if let Some(accounts) = accounts.filter(|accounts| accounts.names.is_empty() || accounts.some_are_nameless) {
            let reads = reads.iter().filter(|read| is_account(&read.path) && !read.may_be_absent);
            for read in reads.take(WARNINGS_MAX) {
                self.warn_of_account(node, read.path.span.clone(), &accounts);
            }
        }
        for (used, list, name) in reads.iter().filter_map(|read| list_without_index(&read.path)).take(WARNINGS_MAX) {
            self.warn_of_list(node, used.span.clone(), &list, name)
                .hint(format!("write `{list}[0].{name}` for the first, `{list} | map(attribute=\"{name}\") | join(\", \")` for all"));
        }
    }

    fn warn_of(&mut self, node: &Node, range: Range<usize>, used: &UsedPath, kinds: &Kinds, near: Option<String>) -> &mut Draft {
        let near = self.of_element(node, &range, used).or_else(|| near.map(|near| self.near_as_written(node, &range, near)));
        let path = quoted(&format!("{}{}", prefix(used), used.names().join(".")));
        // What another kind has is no slip of the pen.
        let is_of_another = |kinds: &Kinds| kinds.have(&used.names().join("."));
        let (message, near) = match (used.root, kinds.source(), kinds.only_type()) {
            (PathRoot::Event, ..) => (format!("the relay has no fact {path} about an event"), near),
            (PathRoot::Payload, EventSource::Relay, Some(kind)) => (format!("the relay's own event `{kind}` has no {path}"), near),
            (PathRoot::Payload, EventSource::Relay, None) => (format!("the relay's own events have no {path}"), near),
            (PathRoot::Payload, EventSource::Wiza, Some(kind)) if is_of_another(&Kinds::all()) => {
                (format!("Wiza is not known to send {path} in a webhook whose `type` is \"{kind}\""), None)
            }
            (PathRoot::Payload, EventSource::Wiza, _) => (format!("Wiza is not known to send {path}"), near),
        };
        let finding = self.warning_in(node, range, message);
        let last = used.names().last().copied().unwrap_or_default();
        let is_constant = last.len() > 2 && last.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        match near {
            _ if is_constant && used.root == PathRoot::Payload && used.names().first() != Some(&"data") => {
                finding.hint(format!("a value of the environment is written `${{{last}}}`, outside of the braces"));
            }
            Some(near) => finding.hint(format!("did you mean `{near}`?")),
            None if used.root == PathRoot::Event => {
                finding.hint(
                    "there are `event.id`, `event.received_at`, `event.path`, `event.query.NAME`, `event.account` and `event.source`",
                );
            }
            None => {}
        }
        finding
    }

    /// How a path is written that begins at the element of `$each`; `None` where it does not.
    pub(in crate::config) fn written_from_element(&self, node: &Node, range: &Range<usize>) -> Option<String> {
        let Content::Scalar(scalar) = &node.content else { return None };
        let written = scalar.text.get(range.clone())?;
        let begins = |root: &str| written.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        (self.scope.in_each && (begins("@") || begins("item"))).then(|| written.to_owned())
    }

    /// What was meant by a path of the payload that is one of the element of the `$each` around it: `$.number` for `@.number`.
    fn of_element(&self, node: &Node, range: &Range<usize>, used: &UsedPath) -> Option<String> {
        let element = self.element.as_ref().filter(|_| self.scope.in_each && used.root == PathRoot::Payload)?;
        let path: Vec<&str> = names_of(element).into_iter().chain(used.names()).collect();
        let Content::Scalar(scalar) = &node.content else { return None };
        let root = if scalar.text.get(range.clone())?.starts_with('$') { "@" } else { "item" };
        is_known(&path.join(".")).then(|| format!("{root}.{}", used.names().join(".")))
    }

    /// A known path as it would be written in place of this one: inside of `$each` from the element.
    fn near_as_written(&self, node: &Node, range: &Range<usize>, near: String) -> String {
        let written = self.written_from_element(node, range);
        let element = self.element.as_ref().map(|steps| names_of(steps).join("."));
        let rest = element.and_then(|element| near.strip_prefix(&element)?.strip_prefix('.'));
        match (written, rest) {
            (Some(written), Some(rest)) => format!("{}.{rest}", if written.starts_with('@') { "@" } else { "item" }),
            _ => near,
        }
    }

    /// The known path of a payload that was probably meant by these steps.
    pub(in crate::config) fn near_payload_path(&mut self, steps: &[Step]) -> Option<String> {
        self.near_path(&UsedPath { root: PathRoot::Payload, steps: steps.to_vec(), span: 0..0 }, &Kinds::all())
    }

    /// The known path that was probably meant.
    fn near_path(&mut self, used: &UsedPath, kinds: &Kinds) -> Option<String> {
        let names = used.names();
        let path = names.join(".");
        let known = known(used, kinds);
        // Behind a known field, whatever follows is the slip.
        let fields = known.iter().map(|known| known.trim_end_matches(".*"));
        let parents = ["status", "data", "data.emails", "data.phones", "data_json"]
            .into_iter()
            .filter(|_| used.root == PathRoot::Payload && kinds.source() == EventSource::Wiza);
        let same_end = || known.iter().copied().find(|known| known.rsplit('.').next() == names.last().copied());
        let near = self.near(&path, fields.chain(parents)).or_else(same_end)?;
        Some(format!("{}{near}", prefix(used)))
    }
}

/// The names on a way, without its steps into lists.
fn names_of(steps: &[Step]) -> Vec<&str> {
    let names = steps.iter().filter_map(|step| if let Step::Name(name) = step { Some(name.as_str()) } else { None });
    names.collect()
}

fn is_account(used: &UsedPath) -> bool {
    used.root == PathRoot::Event && used.names() == ["account"]
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

/// Whether none of these kinds (or the relay, for `event`) is known to have this path; list indices and filters do not count.
fn is_unknown(used: &UsedPath, kinds: &Kinds) -> bool {
    let path = used.names().join(".");
    !path.is_empty() && !known(used, kinds).iter().any(|known| covers(known, &path))
}

/// Whether these names, joined by dots, lead to something that Wiza sends.
pub(in crate::config) fn is_known(path: &str) -> bool {
    Kinds::of_both().have(path)
}

/// What Wiza sends at a path: its lists hold objects.
fn shape_at(path: &str) -> Shape {
    match path {
        _ if LISTS.contains(&path) => Shape::ListOfObjects,
        _ if is_single(path) => Shape::Single,
        _ => Shape::Unknown,
    }
}

/// Whether Wiza sends a single value under these names, and nothing below them.
pub(in crate::config) fn is_single(path: &str) -> bool {
    Kinds::all().paths().any(|known| known == path)
}

fn known(used: &UsedPath, kinds: &Kinds) -> Vec<&'static str> {
    match used.root {
        PathRoot::Payload => kinds.paths().collect(),
        PathRoot::Event => EVENT.to_vec(),
    }
}

/// How a path from this root begins where it is written.
fn prefix(used: &UsedPath) -> &'static str {
    match used.root {
        PathRoot::Payload => "",
        PathRoot::Event => "event.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::findings::report::Report;
    use crate::config::outside::interpolate::Missing;

    /// `None`: known; else the near one.
    fn verdict(root: PathRoot, path: &str) -> Option<Option<String>> {
        let steps = path.split('.').map(|name| Step::Name(name.to_owned())).collect();
        let used = UsedPath { root, steps, span: 0..0 };
        let mut decoder = Decoder::new(Report::new("f", ""), &|_| None, Missing::IsAnError);
        is_unknown(&used, &Kinds::all()).then(|| decoder.near_path(&used, &Kinds::all()))
    }

    #[test]
    fn known_paths_pass() {
        for path in [
            "data",
            "data.email",
            "data.emails",
            "data.emails.email",
            "status.code",
            "type",
            "data.credits.used.total",
            "data_json.id",
            "data.stats.people",
        ] {
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
