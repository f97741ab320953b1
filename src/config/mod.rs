//! routes.yaml: from its text to a validated [`Config`], or to everything that is wrong with it.
//!
//! The text becomes a tree in which every value knows its place (`yaml`); one file per section takes from it what it
//! knows and reports everything else (`reading`); strings keep apart what came from outside ([`crate::text`]). Only
//! `${file:...}` reads anything but the text (`outside`).
//!
//! A new key has its place in `intake`, `destinations`, `routes` or `limits`, whichever section of the file it stands in, and
//! in `schema`. A new warning about what is allowed has its place in `doubts`.

mod destinations;
mod doubts;
mod findings;
mod intake;
mod limits;
mod outside;
mod reading;
mod routes;
pub mod schema;
mod test_case;
mod yaml;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::condition::Index;
use crate::egress::Egress;
use crate::own_events::Limits;
use crate::transform::{Shape, Templates};

pub use destinations::auth::Auth;
pub use destinations::batch::Batch;
pub use destinations::destination::{Destination, RateLimit, Retry};
pub use destinations::preset::{PRESETS, Preset};
pub use destinations::tls::Tls;
pub use findings::files::{BYTES_MAX, INCLUDED_MAX, RuleFile, RuleFiles, Trouble};
pub use findings::finding::{Finding, Place, Severity};
pub use intake::source::{Dedupe, Source};
pub use limits::retention::Retention;
pub use outside::interpolate::{Lookup, Values};
pub use outside::secrets::{MASKED_BYTES_MIN, Secrets};
pub(crate) use reading::decode::listed;
pub use reading::include::includes;
pub(crate) use reading::near::near;
pub use reading::pattern::{Pattern, Step, TESTS_ENDING};
pub use routes::route::{Route, Target};
pub use test_case::{Expectation, Facts, Payload, TestCase};
pub use yaml::{Content, Key, Kind, Node, Scalar, Style};

use destinations::destination;
use doubts::readers;
use findings::report::{Joined, Report};
use intake::source;
use limits::{egress, own_events, retention};
use outside::interpolate::Missing;
use reading::decode::{Accounts, Decoder};
use reading::{foreign, include, units};
use routes::{guard, route};

/// Reads a size as routes.yaml has them: `512KiB`, `1MiB`.
///
/// # Errors
/// What is wrong with it, and how it is written.
pub fn size(text: &str) -> Result<u64, String> {
    units::size(text).map_err(|units::Unreadable { reason, hint }| format!("{reason}; {hint}"))
}

/// Everything that a valid routes.yaml says.
#[derive(Debug)]
pub struct Config {
    /// How webhooks come in.
    pub source: Source,
    /// In the order of the file; those of included files come behind.
    pub destinations: Vec<Arc<Destination>>,
    /// In the order of the file; those of included files come behind.
    pub routes: Vec<Route>,
    /// Finds those of the routes that an event can match.
    pub index: Index,
    /// Where an event goes that no route took.
    pub unmatched: Vec<Target>,
    /// Where requests may go.
    pub egress: Egress,
    /// How long events are kept.
    pub retention: Retention,
    /// The limits of what the relay tells of itself.
    pub own_events: Limits,
    /// The file's own tests.
    pub tests: Vec<TestCase>,
    /// What the templates of destinations and routes are rendered with.
    pub templates: Templates,
    /// What must never be shown.
    pub secrets: Secrets,
    /// As [`RuleFiles::version`] has it.
    pub version: String,
}

/// The route's name where `unmatched` sends an event.
const UNMATCHED: &str = "(unmatched)";

impl Config {
    /// The name of the route at this place in the file (`None`: `unmatched`), and how it wants requests to the
    /// destination at `destination` to look.
    pub fn target(&self, route: Option<usize>, destination: usize) -> (&str, Option<&Shape>) {
        let (name, targets) = match route.and_then(|route| self.routes.get(route)) {
            Some(route) => (route.name.as_str(), route.to.as_slice()),
            None => (UNMATCHED, self.unmatched.as_slice()),
        };
        let shape = targets.iter().find(|target| target.destination == destination).and_then(|target| target.shape.as_ref());
        (name, shape)
    }

    /// Whether a file that routes.yaml names (a secret's, a certificate's) holds something else now.
    pub fn files_changed(&self) -> bool {
        self.secrets.files_changed() || self.destinations.iter().any(|destination| destination.tls.files_changed())
    }
}

/// What came of a file.
#[derive(Debug)]
pub struct Loaded {
    /// None if there is any error.
    pub config: Option<Config>,
    /// By position.
    pub findings: Vec<Finding>,
    /// The names of values that something else stands in for; see [`load_for_dry_run`].
    pub stood_in_for: Vec<String>,
}

/// Reads the text of a routes.yaml by itself; what it includes is not read. `lookup` gives the values of variables (in the relay: of its environment).
pub fn load(file_name: &str, text: &str, lookup: Lookup<'_>) -> Loaded {
    load_from(&RuleFiles::one(file_name, text), Values::Of(lookup))
}

/// The same of all files, with values from there.
pub fn load_from(files: &RuleFiles, values: Values<'_>) -> Loaded {
    load_with(files, values, Missing::IsAnError)
}

/// The same for `explain` and `test`, which send nothing: a variable or a secret's file that is not there is no error,
/// because rules are written and tested where nobody has the secrets. Something else stands in for its value, and
/// wherever it is shown, `${NAME}` is.
pub fn load_for_dry_run(file_name: &str, text: &str, lookup: Lookup<'_>) -> Loaded {
    load_from_for_dry_run(&RuleFiles::one(file_name, text), Values::Of(lookup))
}

/// The same of all files, with values from there.
pub fn load_from_for_dry_run(files: &RuleFiles, values: Values<'_>) -> Loaded {
    load_with(files, values, Missing::IsStoodInFor)
}

/// What came of a file that holds nothing but `tests`.
#[derive(Debug)]
pub struct LoadedTests {
    /// None if there is any error.
    pub tests: Option<Vec<TestCase>>,
    /// By position.
    pub findings: Vec<Finding>,
}

/// Reads a `*.test.yaml`: tests of the rules in `config`, which was loaded for a dry run.
pub fn load_tests(file_name: &str, text: &str, values: Values<'_>, config: &Config) -> LoadedTests {
    let mut decoder = Decoder::with(Report::new(file_name, text), values, Missing::IsStoodInFor);
    decoder.accounts = Some(Arc::new(Accounts::from(&config.source.api_keys)));
    let tests = decode_tests(&mut decoder, &config.destinations, &config.routes);
    let has_errors = decoder.report.has_errors();
    LoadedTests { tests: tests.filter(|_| !has_errors), findings: decoder.report.finish() }
}

fn decode_tests(decoder: &mut Decoder<'_>, destinations: &[Arc<Destination>], routes: &[Route]) -> Option<Vec<TestCase>> {
    let root = yaml::parse(&mut decoder.report)?;
    let mut table = decoder.table(&root, "a file of tests")?;
    let tests = table.take("tests");
    let misspelt = table.finish(decoder);
    if tests.is_none() && misspelt.is_empty() {
        decoder.report.error(root.span.start..root.span.start, "`tests` is missing").hint("it lists `name`, `payload` and `expect`");
    }
    let names = test_case::Names {
        destinations: destinations.iter().map(|destination| destination.name.as_str()).collect(),
        routes: Some(routes.iter().map(|route| route.name.as_str()).collect()),
    };
    test_case::decode_all(decoder, tests?, &names)
}

fn load_with(files: &RuleFiles, values: Values<'_>, missing: Missing) -> Loaded {
    let mut joined = Joined::new(files);
    // Most have none.
    if files.iter().any(|file| file.text.contains("preset")) {
        PRESETS.iter().for_each(|preset| joined.add_preset(preset.name, preset.text));
    }
    let mut decoder = Decoder::with(Report::of(&joined), values, missing);
    let config = decode(&mut decoder, files);
    let has_errors = decoder.report.has_errors();
    Loaded {
        config: config.filter(|_| !has_errors).map(|sections| Config {
            source: sections.source,
            destinations: sections.destinations,
            index: Index::new(sections.routes.iter().map(|route| route.when.as_ref())),
            routes: sections.routes,
            unmatched: sections.unmatched,
            egress: decoder.egress,
            retention: sections.retention,
            own_events: sections.own_events,
            tests: sections.tests,
            templates: decoder.templates,
            secrets: decoder.secrets,
            version: files.version(),
        }),
        stood_in_for: decoder.stood_in_for.into_iter().collect(),
        findings: decoder.report.finish(),
    }
}

struct Sections {
    source: Source,
    destinations: Vec<Arc<Destination>>,
    routes: Vec<Route>,
    unmatched: Vec<Target>,
    retention: Retention,
    own_events: Limits,
    tests: Vec<TestCase>,
}

fn decode(decoder: &mut Decoder<'_>, files: &RuleFiles) -> Option<Sections> {
    let root = yaml::parse(&mut decoder.report)?;
    if foreign::refuse(decoder, &root) {
        return None;
    }
    let mut table = decoder.table(&root, "the file")?;
    let include = table.take("include");
    let source = table.take("source");
    let defaults = table.take("defaults");
    let destinations = table.take("destinations");
    let routes = table.take("routes");
    let unmatched = table.take("unmatched");
    let egress = table.take("egress");
    let retention = table.take("retention");
    let own = table.take("own_events");
    let tests = table.take("tests");
    let misspelt = table.finish(decoder);
    if let Some(include) = include {
        include::check(decoder, include, &files.troubles);
    }
    // Of a text by itself nobody looked for the files that it includes.
    let is_by_itself =
        include.is_some_and(|node| !include::entries(node).is_empty()) && files.included.is_empty() && files.troubles.is_empty();
    let parts: Vec<include::Part> = decoder.report.files().into_iter().skip(1).map(|range| include::part(decoder, range)).collect();
    let all = |own: Option<&Arc<Node>>, of: fn(&include::Part) -> &Option<Arc<Node>>| -> Vec<Arc<Node>> {
        own.into_iter().chain(parts.iter().filter_map(|part| of(part).as_ref())).map(Arc::clone).collect()
    };
    let destinations = include::joined_destinations(decoder, all(destinations, |part| &part.destinations));
    let routes = include::joined_list(decoder, all(routes, |part| &part.routes), "routes");
    let tests = include::joined_list(decoder, all(tests, |part| &part.tests), "tests");
    let (destinations, routes, tests) = (destinations.as_ref(), routes.as_ref(), tests.as_ref());

    for (name, section, hint) in [
        ("source", source, "it says where webhooks come in: `path` and `api_keys`"),
        ("destinations", destinations, "it names the places that events are sent to, each with its `url`"),
        ("routes", routes, "it says which events go where: a list of `name`, `when` and `to`"),
    ] {
        // What is not there may stand in a file that was not read.
        let may_be_elsewhere = name != "source" && include.is_some() && (is_by_itself || decoder.report.has_errors());
        if section.is_none() && !misspelt.contains(&name) && !may_be_elsewhere {
            decoder.report.error(root.span.start..root.span.start, format!("`{name}` is missing")).hint(hint);
        }
    }
    let mut nodes = readers::Nodes {
        bases: std::collections::HashMap::new(),
        destinations: destinations.map(AsRef::as_ref),
        defaults: defaults.map(AsRef::as_ref),
        routes: routes.map(AsRef::as_ref),
        unmatched: unmatched.map(AsRef::as_ref),
    };
    let source = source.and_then(|node| source::decode(decoder, node));
    decoder.accounts = source.as_ref().map(|source| Arc::new(Accounts::from(&source.api_keys)));
    // Before the URLs that it is about.
    let egress = egress.filter(|node| !node.is_null()).map(|node| egress::decode(decoder, node));
    if let Some(egress) = egress {
        decoder.egress = egress.unwrap_or_default(); // Where it is broken, an error was reported.
    }
    let (names, destinations) = destination::decode_all(decoder, destinations.map(AsRef::as_ref), defaults.map(AsRef::as_ref));
    let batched =
        destinations.iter().filter_map(|destination| Some((destination.name.clone(), destination.batch.as_ref()?.body.is_some())));
    let mut known = route::Destinations::new(names.clone(), batched.collect());
    let routes = match routes {
        Some(node) => route::decode_all(decoder, node, &mut known),
        None => is_by_itself.then(Vec::new),
    };
    let unmatched = match unmatched {
        Some(node) => route::decode_targets(decoder, node, &mut known),
        None => Some(Vec::new()),
    };
    let destination_names: Vec<&str> = names.iter().map(|key| key.text.as_str()).collect();
    decoder.warn_of_destinations(&destination_names, routes.as_deref(), unmatched.as_deref());
    // Where a route is broken, it may well be the one that uses a destination.
    if routes.as_ref().is_some_and(|routes| !routes.is_empty()) {
        known.warn_of_unused(decoder);
    }
    let retention = match retention {
        Some(node) => retention::decode(decoder, node),
        None => Some(Retention::default()),
    };
    let own_events = match own.filter(|node| !node.is_null()) {
        Some(node) => own_events::decode(decoder, node),
        None => Some(Limits::default()),
    };
    if let (Some(node), Some(routes)) = (own.filter(|node| !node.is_null()), &routes) {
        own_events::warn_of_no_route(decoder, node, routes);
    }
    let tests = match tests {
        Some(node) => {
            let names = test_case::Names {
                destinations: names.iter().map(|key| key.text.as_str()).collect(),
                routes: routes.as_ref().map(|routes| routes.iter().map(|route| route.name.as_str()).collect()),
            };
            test_case::decode_all(decoder, node, &names)
        }
        None => Some(Vec::new()),
    };
    if let (Some(routes), Some(unmatched)) = (&routes, &unmatched)
        && names.len() == destinations.len()
    {
        nodes.bases = std::mem::take(&mut decoder.bases);
        readers::warn(decoder, &nodes, &destinations, routes, unmatched);
        guard::refuse(decoder, &nodes, &destinations, routes);
    }
    Some(Sections {
        source: source?,
        destinations,
        routes: routes?,
        unmatched: unmatched?,
        retention: retention?,
        own_events: own_events?,
        tests: tests?,
    })
}

/// The version of rules with this text, which include no other files.
pub fn version(text: &str) -> String {
    RuleFiles::one("", text).version()
}
