//! What a `when` says of whose events it is for. A route is offered either Wiza's webhooks or the relay's own events, and its
//! condition decides which ([`Kinds::taken_by`]); what can only be meant for the other side is worth a warning.

use crate::condition::{Condition, PathRoot};
use crate::event::EventSource;
use crate::own_events::{OwnKind, PREFIX};

use crate::config::doubts::kinds::Kinds;
use crate::config::findings::finding::quoted;
use crate::config::reading::decode::{Decoder, listed};
use crate::config::yaml::Node;
use crate::text::Text;

/// What takes every own event.
const ALL_OWN: &str = "`event.source == \"relay\"` takes all of the relay's own events, `type in [\"relay.dead_letters\", ...]` some";

impl Decoder<'_> {
    /// Warns of types and sources that no event has, and of parts of a condition that can never hold because the route is not offered
    /// such events.
    pub(in crate::config) fn warn_of_sources(&mut self, node: &Node, text: &Text, condition: &Condition) {
        let source = Kinds::taken_by(condition).source();
        let place = |span: std::ops::Range<usize>| text.offset_in_scalar(span.start)..text.offset_in_scalar(span.end);
        for (span, kind) in condition.compared(PathRoot::Payload, &["type"]) {
            if OwnKind::named(kind).is_some() && source == EventSource::Wiza {
                self.warning_in(
                    node,
                    place(span),
                    format!("this route is for Wiza's webhooks, and {} is one of the relay's own events", quoted(kind)),
                )
                .hint(format!("a route is for one or the other: give the relay's own events a route with `when: type == \"{kind}\"`"));
            } else if kind.starts_with(PREFIX) && OwnKind::named(kind).is_none() {
                let near = self.near(kind, OwnKind::ALL.map(OwnKind::name).into_iter());
                let finding = self.warning_in(node, place(span), format!("the relay has no own event of the type {}", quoted(kind)));
                finding.hint(near.map_or_else(
                    || format!("there are {}", listed(&OwnKind::ALL.map(OwnKind::name))),
                    |near| format!("did you mean `{near}`?"),
                ));
            } else if let Some(own) = OwnKind::ALL.into_iter().find(|own| own.name().strip_prefix(PREFIX) == Some(kind)) {
                self.warning_in(node, place(span), format!("the type of the relay's own event is `{}`", own.name()))
                    .hint(format!("write `type == \"{}\"`", own.name()));
            }
        }
        for (span, name) in condition.compared(PathRoot::Event, &["source"]) {
            if EventSource::ALL.iter().all(|source| source.name() != name) {
                self.warning_in(node, place(span), format!("`event.source` is never {}", quoted(name)))
                    .hint("it is \"wiza\" for a webhook and \"relay\" for one of the relay's own events");
            } else if name == EventSource::Relay.name() && source == EventSource::Wiza {
                self.warning_in(node, place(span), "this route is for Wiza's webhooks, and this asks for the relay's own events")
                    .hint("a route is for one or the other: give the relay's own events a route of their own");
            }
        }
        for (span, pattern) in condition.matched(PathRoot::Payload, &["type"]) {
            if pattern.trim_start_matches('^').starts_with("relay") && source == EventSource::Wiza {
                self.warning_in(node, place(span), "a pattern does not make a route one for the relay's own events").hint(ALL_OWN);
            }
        }
    }
}
