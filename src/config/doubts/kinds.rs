//! The kinds of events, what each holds, and which of them a condition lets through: the webhooks that Wiza sends, and the relay's
//! own events. Of Wiza's one kind is documented, the reveal. The others were observed, so nobody knows which of their fields are
//! always there.

use serde_json::Value;

use crate::condition::{Condition, PathRoot};
use crate::event::EventSource;
use crate::own_events::{self, OwnKind};

/// A kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `type: individual_reveal`.
    Reveal,
    /// `type: list`: how far a list is. It calls back for each of its statuses, from `queued` to `finished`.
    List,
    /// `{"data_json": {"id", "status"}}`, which has no `type`.
    ListDataJson,
    /// One of the relay's own.
    Own(OwnKind),
}

/// The `type` of each kind that has one.
const TYPES: [(&str, Kind); 2] = [("individual_reveal", Kind::Reveal), ("list", Kind::List)];

/// What the kinds with a `type` have in common.
const ENVELOPE: &[&str] = &["status.code", "status.message", "type", "data.id", "data.status", "data.fail_error", "data.finished_at"];

/// Of a reveal. What ends in `.*` may hold anything.
const REVEAL: &[&str] = &[
    "data.is_complete",
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

/// Of a list.
const LIST: &[&str] = &[
    "data.name",
    "data.enrichment_level",
    "data.email_options.*",
    "data.report_type",
    "data.created_at",
    "data.stats.*",
    "data.credits.*",
    "data.contacts.*",
];

/// Of the short form.
const DATA_JSON: &[&str] = &["data_json.id", "data_json.status"];

/// Those that are in every reveal, and never null. All others are null or left out in one of the samples, or may be: a failed
/// reveal has little more than these.
const ALWAYS: [&str; 7] = ["type", "status.code", "status.message", "data.id", "data.status", "data.is_complete", "data.enrichment_level"];

/// Some kinds of events: of webhooks, or of the relay's own, or (for a text that stands under no condition) of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Kinds(Vec<Kind>);

impl Kinds {
    /// Every kind of webhook.
    pub fn all() -> Self {
        Self(vec![Kind::Reveal, Kind::List, Kind::ListDataJson])
    }

    /// Every kind of webhook and of own events.
    pub fn of_both() -> Self {
        let mut kinds = Self::all();
        kinds.0.extend(OwnKind::ALL.map(Kind::Own));
        kinds
    }

    /// Those for which a condition can hold, as far as it says so plainly. A route is for the relay's own events if its condition
    /// cannot hold without saying so: by `event.source == "relay"`, or by a `type` that begins with `relay.`.
    pub fn taken_by(condition: &Condition) -> Self {
        let source = condition.pinned(PathRoot::Event, &["source"]);
        let is_pinned_to = |source: &Option<Vec<&Value>>, wanted: EventSource| {
            source.as_ref().is_some_and(|values| !values.is_empty() && values.iter().all(|value| **value == wanted.name()))
        };
        let types = condition.pinned(PathRoot::Payload, &["type"]);
        let is_own = |value: &&Value| value.as_str().is_some_and(|text| text.starts_with(own_events::PREFIX));
        let types_are_own = types.as_ref().is_some_and(|types| !types.is_empty() && types.iter().all(is_own));
        if is_pinned_to(&source, EventSource::Relay) || (types_are_own && !is_pinned_to(&source, EventSource::Wiza)) {
            let named = types.iter().flatten().filter_map(|value| value.as_str().and_then(OwnKind::named)).map(Kind::Own);
            let named: Vec<Kind> = named.collect();
            return Self(if named.is_empty() { OwnKind::ALL.map(Kind::Own).to_vec() } else { named });
        }
        if let Some(values) = types {
            let known = values.iter().filter_map(|value| TYPES.iter().find(|(name, _)| *value == name).map(|(_, kind)| *kind));
            let kinds: Vec<Kind> = known.collect();
            // Of a type that is not known here, anything may be known elsewhere.
            return if kinds.len() == values.len() && !kinds.is_empty() { Self(kinds) } else { Self::all() };
        }
        if condition.needs(&["data_json".to_owned()]) { Self(vec![Kind::ListDataJson]) } else { Self::all() }
    }

    /// The paths of their payloads, by their names; the same one maybe twice.
    pub fn paths(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().flat_map(|kind| kind.paths())
    }

    /// Whether they have something at this path, be it the way to more.
    pub fn have(&self, path: &str) -> bool {
        self.paths().any(|known| covers(known, path))
    }

    /// Whose events they are.
    pub fn source(&self) -> EventSource {
        if matches!(self.0.first(), Some(Kind::Own(_))) { EventSource::Relay } else { EventSource::Wiza }
    }

    /// Whether one of them may have null at a known path, or nothing. Of a kind that was only observed nobody knows, so what it has
    /// counts as there; where reveals come too, they decide.
    pub fn may_lack(&self, path: &str) -> bool {
        if self.source() == EventSource::Relay {
            let has = |kind: &Kind| Self(vec![*kind]).have(path) && !own_events::NULLABLE.contains(&path);
            return !self.0.iter().all(has);
        }
        let always = || ALWAYS.iter().any(|always| covers(always, path));
        if self.0.contains(&Kind::Reveal) { !always() } else { !self.have(path) }
    }

    /// The `type` that all of them have, if it is one.
    pub fn only_type(&self) -> Option<&'static str> {
        let [only] = self.0.as_slice() else { return None };
        if let Kind::Own(kind) = only {
            return Some(kind.name());
        }
        TYPES.iter().find(|(_, kind)| kind == only).map(|(name, _)| *name)
    }
}

impl Kind {
    fn tables(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Reveal => &[ENVELOPE, REVEAL],
            Self::List => &[ENVELOPE, LIST],
            Self::ListDataJson => &[DATA_JSON],
            Self::Own(_) => &[],
        }
    }

    fn paths(self) -> impl Iterator<Item = &'static str> {
        let own = match self {
            Self::Own(kind) => kind.paths(),
            Self::Reveal | Self::List | Self::ListDataJson => &[],
        };
        self.tables().iter().flat_map(|table| table.iter()).chain(own).copied()
    }
}

/// Whether `path` is `known`, or leads to it.
pub(in crate::config) fn covers(known: &str, path: &str) -> bool {
    if let Some(free) = known.strip_suffix(".*") {
        return path == free || path.strip_prefix(free).is_some_and(|rest| rest.starts_with('.')) || leads(free, path);
    }
    known == path || leads(known, path)
}

fn leads(known: &str, path: &str) -> bool {
    known.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Vec<Kind> {
        Kinds::taken_by(&Condition::parse(text).unwrap()).0
    }

    #[test]
    fn a_condition_says_which_kinds_it_takes() {
        assert_eq!(taken("type == \"list\" and data.status == \"finished\""), [Kind::List]);
        assert_eq!(taken("type in [\"list\", \"individual_reveal\"]"), [Kind::List, Kind::Reveal]);
        for all in ["data.email", "type != \"list\"", "type == \"list\" or data.email", "type == \"contact\"", "type in [\"list\", \"x\"]"]
        {
            assert_eq!(taken(all), Kinds::all().0, "{all}");
        }
        for short in ["data_json", "data_json.status == \"finished\"", "data.id == 1 and data_json.id"] {
            assert_eq!(taken(short), [Kind::ListDataJson], "{short}");
        }
    }

    #[test]
    fn a_route_is_for_own_events_only_where_its_condition_says_so_in_every_way_to_hold() {
        let own = |text: &str| Kinds::taken_by(&Condition::parse(text).unwrap()).source() == EventSource::Relay;
        for text in [
            "type == \"relay.circuit_opened\"",
            "type in [\"relay.circuit_opened\", \"relay.circuit_closed\"] and data.destination == \"crm\"",
            "type == \"relay.dead_letters\" and data.count > 10 or type == \"relay.queue_old\"",
            "event.source == \"relay\"",
            "\"relay\" == event.source and (data.destination == \"crm\" or not data.destination)",
            "type == \"relay.not_known_yet\"",
        ] {
            assert!(own(text), "{text}");
        }
        for text in [
            "data.email",
            "type != \"individual_reveal\"",
            "not (type == \"individual_reveal\")",
            "type != \"relay.circuit_opened\"",
            "not (event.source == \"wiza\")",
            "type == \"relay.circuit_opened\" or data.status == \"failed\"",
            "type in [\"relay.circuit_opened\", \"list\"]",
            "match(type, \"relay[.].*\")",
            "@.event.source == \"relay\"",
            "data.type == \"relay.circuit_opened\"",
            "event.source == \"wiza\" and type == \"relay.circuit_opened\"",
            "type",
        ] {
            assert!(!own(text), "{text}");
        }
    }

    #[test]
    fn what_a_kind_may_lack() {
        let (all, list) = (Kinds::all(), Kinds(vec![Kind::List]));
        for (path, of_all, of_list) in [
            ("data.id", false, false),
            ("data.email", true, true),
            ("data.stats.people", true, false),
            ("data.finished_at", true, false),
            ("data.is_complete", false, true),
            ("data_json.id", true, true),
        ] {
            assert_eq!((all.may_lack(path), list.may_lack(path)), (of_all, of_list), "{path}");
        }
        assert!(!Kinds(vec![Kind::ListDataJson]).may_lack("data_json.id"));
        let own = Kinds(OwnKind::ALL.map(Kind::Own).to_vec());
        assert!(!own.may_lack("data.summary") && own.may_lack("data.destination") && own.may_lack("data.id"));
        let opened = Kinds(vec![Kind::Own(OwnKind::CircuitOpened)]);
        assert!(!opened.may_lack("data.destination") && opened.may_lack("data.status"));
    }
}
