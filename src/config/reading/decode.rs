//! From the tree of a file to values: takes what it knows, reports everything else, and goes on.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use crate::condition::{Step, SyntaxError};
use crate::egress::Egress;
use crate::transform::{Scope, Templates};
use crate::verify::ApiKeys;

use super::near::near;
use super::units::{self, Unreadable};
use crate::config::doubts::nulls::Doubt;
use crate::config::findings::finding::quoted;
use crate::config::findings::report::{Draft, Report};
#[cfg(test)]
use crate::config::outside::interpolate::Lookup;
use crate::config::outside::interpolate::{Missing, Values, replace};
use crate::config::outside::secrets::Secrets;
use crate::config::yaml::{Content, Key, Kind, Node, Scalar, looks_like_boolean};
use crate::text::{Part, Text};

/// So many words of a file are compared with the known ones: about as many findings are shown. Without a limit, a file
/// of slips would cost the square of its length.
const NEAR_SEARCHES_MAX: usize = 400;
/// Known words that one is compared with, at most.
const NEAR_CANDIDATES_MAX: usize = 1000;
/// Names that a message lists, at most.
const LISTED_MAX: usize = 20;

/// What all sections read with.
pub(in crate::config) struct Decoder<'a> {
    pub report: Report<'a>,
    values: Values<'a>,
    missing: Missing,
    pub secrets: Secrets,
    /// The names of values that something else stands in for.
    pub stood_in_for: BTreeSet<String>,
    pub templates: Templates,
    /// Where requests may go.
    pub egress: Egress,
    /// What templates print that may be null, until the routes are known.
    pub doubts: Vec<Doubt>,
    /// The trees of presets that were asked for.
    pub presets: HashMap<&'static str, Arc<Node>>,
    /// What lies below the own keys of destinations that have one, by their names.
    pub bases: HashMap<String, Arc<Node>>,
    /// Where the body stands that is being read.
    pub scope: Scope,
    /// The steps of a payload to the elements of the `$each` that is being read, as far as they can be told.
    pub element: Option<Vec<Step>>,
    /// What the API keys are called; `None` where they cannot be read.
    pub accounts: Option<Arc<Accounts>>,
    near_searches_left: usize,
}

/// What the API keys of a file are called.
#[derive(Debug)]
pub(in crate::config) struct Accounts {
    pub names: Vec<String>,
    /// Whether some key has no name.
    pub some_are_nameless: bool,
}

impl From<&ApiKeys> for Accounts {
    fn from(keys: &ApiKeys) -> Self {
        let names = keys.accounts().into_iter().map(str::to_owned).collect();
        Self { names, some_are_nameless: keys.all().iter().any(|key| key.account.is_none()) }
    }
}

impl<'a> Decoder<'a> {
    #[cfg(test)]
    pub fn new(report: Report<'a>, lookup: Lookup<'a>, missing: Missing) -> Self {
        Self::with(report, Values::Of(lookup), missing)
    }

    pub fn with(report: Report<'a>, values: Values<'a>, missing: Missing) -> Self {
        Self {
            report,
            values,
            missing,
            secrets: Secrets::default(),
            stood_in_for: BTreeSet::new(),
            templates: Templates::new(),
            egress: Egress::default(),
            doubts: Vec::new(),
            presets: HashMap::new(),
            bases: HashMap::new(),
            scope: Scope::default(),
            element: None,
            accounts: None,
            near_searches_left: NEAR_SEARCHES_MAX,
        }
    }

    /// Reads what stands in another scope.
    pub fn within<T>(&mut self, scope: Scope, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.scope, scope);
        let result = read(self);
        self.scope = outer;
        result
    }

    /// The one of `candidates` that `word` is probably a slip of.
    pub fn near<'c>(&mut self, word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
        self.near_searches_left = self.near_searches_left.checked_sub(1)?;
        near(word, candidates.take(NEAR_CANDIDATES_MAX))
    }

    /// Reports an error in a range of a scalar's parsed string, at its place in the file.
    pub fn error_in(&mut self, node: &Node, range: Range<usize>, message: impl Into<String>) -> &mut Draft {
        let place = node.place_in(self.report.text, range);
        self.report.error(place, message)
    }

    pub fn warning_in(&mut self, node: &Node, range: Range<usize>, message: impl Into<String>) -> &mut Draft {
        let place = node.place_in(self.report.text, range);
        self.report.warning(place, message)
    }

    /// Reports what is wrong with a condition or path that was read from `text`, the content of `node`.
    pub fn syntax_error(&mut self, node: &Node, text: &Text, error: SyntaxError) {
        let range = text.offset_in_scalar(error.span.start)..text.offset_in_scalar(error.span.end);
        self.error_in(node, range, error.message).hint = error.hint;
    }

    /// The scalar of a node that must be one; `what` says what it should be: `a duration`.
    fn scalar<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n Scalar> {
        match &node.content {
            Content::Scalar(scalar) if scalar.kind != Kind::Null => Some(scalar),
            Content::Invalid => None,
            Content::Scalar(_) => {
                self.report.error(node.span.clone(), format!("a value is missing: {what}"));
                None
            }
            Content::Sequence(_) | Content::Mapping(_) => {
                self.report.error(node.span.clone(), format!("expected {what}, found {}", node.noun()));
                None
            }
        }
    }

    /// A string field: any scalar as it is written, with `${...}` replaced.
    pub fn text(&mut self, node: &Node, what: &str) -> Option<Text> {
        let scalar = self.scalar(node, what)?;
        self.interpolated(node, &scalar.text)
    }

    /// A scalar's parsed string with `${...}` replaced.
    pub fn interpolated(&mut self, node: &Node, scalar: &str) -> Option<Text> {
        let result = replace(scalar, self.values, self.missing);
        self.stood_in_for.extend(result.stood_in_for);
        for secret in &result.secrets {
            self.secrets.add(secret);
        }
        let complete = result.problems.is_empty();
        for problem in result.problems {
            self.error_in(node, problem.span, problem.message).hint(problem.hint);
        }
        for doubt in result.doubts {
            self.warning_in(node, doubt.span, doubt.message).hint(doubt.hint);
        }
        complete.then_some(result.text)
    }

    /// Whether something stands in for a value of this text.
    pub fn is_stood_in_for(&self, text: &Text) -> bool {
        text.parts.iter().any(|part| matches!(part, Part::Value(secret) if self.stood_in_for.contains(&secret.name)))
    }

    /// Whether the file is read for a dry run, where other files may be missing.
    pub fn sends_nothing(&self) -> bool {
        self.missing == Missing::IsStoodInFor
    }

    /// A field that is shown in logs and metrics, and so cannot hold a value from outside.
    pub fn public_text(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.text(node, what)?;
        if let Some(value) = text.first_value() {
            let message = format!("{what} cannot hold `{value}`: it is shown in logs and metrics");
            self.report.error(node.span.clone(), message).hint("write it out");
            return None;
        }
        Some(text.expose())
    }

    /// A scalar that `read` turns into something.
    pub fn read<T>(&mut self, node: &Node, what: &str, read: impl Fn(&str) -> Result<T, Unreadable>) -> Option<T> {
        self.read_or(node, what, None, read)
    }

    /// The same for a value that a dry run can do without: `stand_in` counts where nobody knows the real one.
    pub fn read_or<T>(&mut self, node: &Node, what: &str, stand_in: Option<T>, read: impl Fn(&str) -> Result<T, Unreadable>) -> Option<T> {
        let text = self.text(node, what)?;
        self.read_text(node, &text, what, stand_in, read)
    }

    /// The same of the text of a scalar.
    pub fn read_text<T>(
        &mut self,
        node: &Node,
        text: &Text,
        what: &str,
        stand_in: Option<T>,
        read: impl Fn(&str) -> Result<T, Unreadable>,
    ) -> Option<T> {
        let Unreadable { reason, hint } = match read(&text.expose()) {
            Ok(value) => return Some(value),
            Err(unreadable) => unreadable,
        };
        if let Some(name) = self.unknown_value(text) {
            if stand_in.is_none() {
                let message = format!("the variable {} is not set, and what the rules do depends on it", quoted(&name));
                self.report.error(node.span.clone(), message).hint(format!("set it, or give a default: `${{{name}:-...}}`"));
            }
            return stand_in;
        }
        // The hint may quote what it was given.
        let hint = if text.first_value().is_some() { format!("expected {what}") } else { hint };
        self.report.error(node.span.clone(), format!("{} {reason}", quoted(&text.masked()))).hint(hint);
        None
    }

    /// The name of a value in the text that something else stands in for.
    pub fn unknown_value(&self, text: &Text) -> Option<String> {
        text.values().find(|value| self.stood_in_for.contains(&value.name)).map(|value| value.name.clone())
    }

    pub fn boolean(&mut self, node: &Node) -> Option<bool> {
        self.read(node, "`true` or `false`", |text| match text {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            _ => Err(Unreadable {
                reason: "is not a boolean".into(),
                hint: match looks_like_boolean(text) {
                    Some(value) => format!("write `{value}`"),
                    None => "`true` or `false`".into(),
                },
            }),
        })
    }

    /// A whole number within the range.
    pub fn integer(&mut self, node: &Node, range: RangeInclusive<u32>) -> Option<u32> {
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        self.read_or(node, &allowed, Some(*range.start()), |text| match text.parse::<u32>() {
            Ok(number) if range.contains(&number) && text.bytes().all(|b| b.is_ascii_digit()) => Ok(number),
            _ => {
                let is_integer = !text.is_empty() && text.trim_start_matches('-').bytes().all(|b| b.is_ascii_digit());
                let reason = if is_integer { "is out of range" } else { "is not a whole number" };
                Err(Unreadable { reason: reason.into(), hint: allowed.clone() })
            }
        })
    }

    pub fn number(&mut self, node: &Node, range: RangeInclusive<f64>) -> Option<f64> {
        let allowed = format!("a number from {} to {}", range.start(), range.end());
        self.read_or(node, &allowed, Some(*range.start()), |text| match text.parse::<f64>() {
            Ok(number) if range.contains(&number) => Ok(number),
            Ok(number) if number.is_finite() => Err(Unreadable { reason: "is out of range".into(), hint: allowed.clone() }),
            _ => Err(Unreadable { reason: "is not a number".into(), hint: allowed.clone() }),
        })
    }

    pub fn duration(&mut self, node: &Node, range: RangeInclusive<Duration>) -> Option<Duration> {
        let stand_in = Some(*range.start());
        self.read_or(node, "a duration", stand_in, |text| within(units::duration(text)?, &range, |value| units::shown_duration(*value)))
    }

    /// A number of bytes.
    pub fn size(&mut self, node: &Node, range: RangeInclusive<u64>) -> Option<u64> {
        let stand_in = Some(*range.start());
        self.read_or(node, "a size", stand_in, |text| within(units::size(text)?, &range, |bytes| units::shown_size(*bytes)))
    }

    pub fn rate(&mut self, node: &Node) -> Option<(std::num::NonZeroU32, Duration)> {
        self.read_or(node, "a rate", Some((std::num::NonZeroU32::MIN, Duration::from_secs(1))), units::rate)
    }

    /// The items of a list; `of` says of what: `API keys`. Nothing counts as an empty list.
    pub fn list<'n>(&mut self, node: &'n Node, of: &str) -> Option<&'n [Arc<Node>]> {
        match &node.content {
            Content::Sequence(items) => Some(items),
            Content::Invalid => None,
            Content::Scalar(Scalar { kind: Kind::Null, .. }) => Some(&[]),
            Content::Scalar(scalar) => {
                let hint = format!("[{}]", quoted(&scalar.text).trim_matches('`'));
                self.report
                    .error(node.span.clone(), format!("expected a list of {of}, found {}", node.noun()))
                    .hint(format!("a list of one: `{hint}`"));
                None
            }
            Content::Mapping(_) => {
                self.report
                    .error(node.span.clone(), format!("expected a list of {of}, found a mapping"))
                    .hint("each item of a list begins with `- `");
                None
            }
        }
    }

    /// The keys of a mapping; `of` says what it describes: `a route`. Nothing counts as an empty mapping.
    pub fn table<'n>(&mut self, node: &'n Node, of: &'static str) -> Option<Table<'n>> {
        let entries = match &node.content {
            Content::Mapping(entries) => entries.as_slice(),
            Content::Scalar(Scalar { kind: Kind::Null, .. }) => &[],
            Content::Invalid => return None,
            Content::Scalar(_) | Content::Sequence(_) => {
                self.report.error(node.span.clone(), format!("expected {of} as a mapping, found {}", node.noun())).hint(example(of));
                return None;
            }
        };
        Some(Table::new(of, entries))
    }
}

/// A mapping whose keys are known beforehand.
pub(in crate::config) struct Table<'n> {
    of: &'static str,
    entries: &'n [(Key, Arc<Node>)],
    known: Vec<&'static str>,
}

/// The keys that an unknown one was probably meant for: that they are missing needs no saying.
pub(in crate::config) type Misspelt = Vec<&'static str>;

impl<'n> Table<'n> {
    fn new(of: &'static str, entries: &'n [(Key, Arc<Node>)]) -> Self {
        Self { of, entries, known: Vec::new() }
    }

    /// The value of a key, if it is there.
    pub fn take(&mut self, name: &'static str) -> Option<&'n Arc<Node>> {
        self.known.push(name);
        self.entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
    }

    /// Reports the keys that nobody took.
    pub fn finish(self, decoder: &mut Decoder<'_>) -> Misspelt {
        self.finish_but(decoder, &[])
    }

    /// The same, but for `others`, of which something has been said already.
    pub fn finish_but(self, decoder: &mut Decoder<'_>, others: &[&str]) -> Misspelt {
        let mut misspelt = Vec::new();
        let is_known = |key: &Key| self.known.iter().any(|known| key.text == *known) || others.contains(&key.text.as_str());
        for (key, _) in self.entries.iter().filter(|(key, _)| !is_known(key)) {
            let near = synonym(&key.text, &self.known).or_else(|| decoder.near(&key.text, self.known.iter().copied()));
            let finding = decoder.report.error(key.span.clone(), format!("{} has no key {}", self.of, quoted(&key.text)));
            match near {
                // What tools of YAML 1.1 write for a bare `on`.
                _ if key.text == "true" && self.known.contains(&"on") => {
                    finding
                        .hint("a tool that speaks YAML 1.1 wrote this for `on`, which is a boolean there; write it in quotes: `\"on\":`");
                    misspelt.push("on");
                }
                Some(known) => {
                    finding.hint(format!("did you mean `{known}`?"));
                    misspelt.push(known);
                }
                None if self.known.len() == 1 => finding.hint(format!("its only key is {}", listed(&self.known))),
                None => finding.hint(format!("its keys are {}", listed(&self.known))),
            }
        }
        misspelt
    }
}

/// What other tools call a key, and what it is called here. The first that the mapping knows is meant.
const SYNONYMS: [(&str, &[&str]); 13] = [
    ("url", &["endpoint", "uri", "address", "href", "webhook", "webhook_url", "target"]),
    ("method", &["verb", "http_method", "request_method"]),
    ("body", &["payload", "json", "data", "content", "template", "message"]),
    ("headers", &["header", "http_headers"]),
    ("when", &["if", "condition", "conditions", "match", "filter", "where", "on"]),
    ("to", &["destinations", "destination", "then", "send_to", "target", "targets"]),
    ("attempts", &["max_attempts", "max_retries", "retries", "count", "times"]),
    ("first", &["initial", "delay", "backoff", "initial_delay", "interval"]),
    ("max", &["size", "max_size", "count", "max_delay", "max_backoff"]),
    ("every", &["interval", "window", "flush_interval", "timeout"]),
    ("payload", &["input", "given", "event", "request"]),
    ("expect", &["expected", "output", "then", "assert"]),
    ("stop", &["final", "last", "break", "continue"]),
];

fn synonym(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let plain = word.to_ascii_lowercase().replace('-', "_");
    let meant = SYNONYMS.iter().filter(|(_, others)| others.contains(&plain.as_str())).map(|(ours, _)| *ours);
    meant.into_iter().find(|ours| known.contains(ours))
}

/// What a mapping looks like, by what it describes.
fn example(of: &str) -> &'static str {
    match of {
        "`retry`" => "for example `{ attempts: 5, first: 10s }`",
        "`circuit`" => "for example `{ failures: 10, cooldown: 30s }`",
        "`batch`" => "for example `{ max: 100, every: 5s }`",
        "`sign`" => "for example `{ secret: \"${SIGNING_SECRET}\" }`",
        "`expect`" => "each destination that gets a request, `{ crm: {} }`; of one that gets none nothing is said",
        "a destination" => "`name:`, and below it, indented, `url: https://...`",
        "the file" => "the rules of a relay begin with `source:`; `wiza-relay init` writes a file to begin with",
        _ => "`key: value`, one key a line",
    }
}

/// A mapping over another that gives what it leaves out: a destination over `defaults`.
pub(in crate::config) struct Layers<'n> {
    own: Option<Table<'n>>,
    base: Option<Table<'n>>,
}

impl<'n> Layers<'n> {
    pub fn open(decoder: &mut Decoder<'_>, own: Option<&'n Node>, base: Option<&'n Node>, of: &'static str) -> Self {
        // The base was decoded by itself before, and its defects were reported then.
        let base = base.and_then(|node| match &node.content {
            Content::Mapping(entries) => Some(Table::new(of, entries)),
            _ => None,
        });
        Self { own: own.and_then(|node| decoder.table(node, of)), base }
    }

    /// The value of a key: one's own, else the base's.
    pub fn take(&mut self, name: &'static str) -> Option<&'n Arc<Node>> {
        let [own, base] = self.take_both(name);
        own.or(base)
    }

    /// One's own value of a key, and the base's.
    pub fn take_both(&mut self, name: &'static str) -> [Option<&'n Arc<Node>>; 2] {
        [&mut self.own, &mut self.base].map(|table| table.as_mut().and_then(|table| table.take(name)))
    }

    pub fn finish(self, decoder: &mut Decoder<'_>) -> Misspelt {
        self.own.map(|own| own.finish(decoder)).unwrap_or_default()
    }
}

/// `` `a`, `b` and `c` ``; of many the first few.
pub(crate) fn listed<S: Display>(names: &[S]) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().take(LISTED_MAX).enumerate() {
        let separator = match index {
            0 => "",
            _ if index + 1 == names.len() => " and ",
            _ => ", ",
        };
        text.push_str(&format!("{separator}`{name}`"));
    }
    match names.len().saturating_sub(LISTED_MAX) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

fn within<T: PartialOrd>(value: T, range: &RangeInclusive<T>, shown: impl Fn(&T) -> String) -> Result<T, Unreadable> {
    if range.contains(&value) {
        return Ok(value);
    }
    let hint = format!("from {} to {}", shown(range.start()), shown(range.end()));
    Err(Unreadable { reason: "is out of range".into(), hint })
}
