//! The kinds of webhooks that Wiza sends, what each holds, and which of them a condition lets through. One kind is documented:
//! the reveal. The others were observed, so nobody knows which of their fields are always there.

use crate::condition::{Condition, PathRoot};

/// A kind of webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `type: individual_reveal`.
    Reveal,
    /// `type: list`: how far a list is. It calls back for each of its statuses, from `queued` to `finished`.
    List,
    /// `{"data_json": {"id", "status"}}`, which has no `type`.
    ListDataJson,
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

/// Some kinds of webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kinds(Vec<Kind>);

impl Kinds {
    /// Every kind.
    pub fn all() -> Self {
        Self(vec![Kind::Reveal, Kind::List, Kind::ListDataJson])
    }

    /// Those for which a condition can hold, as far as it says so plainly.
    pub fn taken_by(condition: &Condition) -> Self {
        if let Some(values) = condition.pinned(PathRoot::Payload, &["type"]) {
            let known = values.iter().filter_map(|value| TYPES.iter().find(|(name, _)| *value == name).map(|(_, kind)| *kind));
            let kinds: Vec<Kind> = known.collect();
            // Of a type that is not known here, anything may be known elsewhere.
            return if kinds.len() == values.len() && !kinds.is_empty() { Self(kinds) } else { Self::all() };
        }
        if condition.needs(&["data_json".to_owned()]) { Self(vec![Kind::ListDataJson]) } else { Self::all() }
    }

    /// The paths of their payloads, by their names; the same one maybe twice.
    pub fn paths(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().flat_map(|kind| kind.tables()).flat_map(|table| table.iter().copied())
    }

    /// Whether they have something at this path, be it the way to more.
    pub fn have(&self, path: &str) -> bool {
        self.paths().any(|known| covers(known, path))
    }

    /// Whether a path that Wiza sends may be null or left out by one of them. Of a kind that was only observed nobody knows, so
    /// what it has counts as there; where reveals come too, they decide.
    pub fn may_lack(&self, path: &str) -> bool {
        let always = || ALWAYS.iter().any(|always| covers(always, path));
        if self.0.contains(&Kind::Reveal) { !always() } else { !self.have(path) }
    }

    /// The `type` that all of them have, if it is one.
    pub fn only_type(&self) -> Option<&'static str> {
        let [only] = self.0.as_slice() else { return None };
        TYPES.iter().find(|(_, kind)| kind == only).map(|(name, _)| *name)
    }
}

impl Kind {
    fn tables(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Reveal => &[ENVELOPE, REVEAL],
            Self::List => &[ENVELOPE, LIST],
            Self::ListDataJson => &[DATA_JSON],
        }
    }
}

/// Whether `path` is `known`, or leads to it.
pub(super) fn covers(known: &str, path: &str) -> bool {
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
    }
}
