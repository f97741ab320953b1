//! Reading a Grafana dashboard's file, and doing what Grafana does with it before it asks Prometheus.

use serde_json::Value;

/// What `$__rate_interval` stands for: four times the interval of scrapes, which Grafana takes as a second at the least.
const RATE_INTERVAL: &str = "4s";

/// The file as it is shipped.
pub struct Dashboard(Value);

/// A query, and where it stands.
#[derive(Clone, Debug)]
pub struct Query {
    /// The row or kind, and the title.
    pub place: String,
    /// As in the file, variables and all.
    pub expression: String,
    /// Whether it is asked for now, or for the time shown.
    pub is_instant: bool,
}

/// What was chosen above the dashboard; the other variables stand on `All`.
pub struct Chosen<'a> {
    /// Seconds that the dashboard shows.
    pub range: u64,
    /// As a pattern: `.*` for all, and where there is none.
    pub namespace: &'a str,
    pub destinations: &'a [&'a str],
}

impl Dashboard {
    /// Reads `dashboards/wiza-relay.json`.
    pub fn read() -> Self {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards/wiza-relay.json")).unwrap();
        Self(serde_json::from_str(&text).unwrap())
    }

    /// The queries of all panels and annotations.
    pub fn queries(&self) -> Vec<Query> {
        let mut row = "";
        let mut found = Vec::new();
        for panel in list(&self.0["panels"]) {
            let title = text(&panel["title"]);
            if panel["type"] == "row" {
                row = title;
                continue;
            }
            for target in list(&panel["targets"]) {
                found.push(Query {
                    place: format!("{row} / {title} / {}", text(&target["refId"])),
                    expression: text(&target["expr"]).to_owned(),
                    is_instant: target["instant"] == true,
                });
            }
        }
        for annotation in list(&self.0["annotations"]["list"]).iter().filter(|annotation| annotation["builtIn"] != 1) {
            let (place, expression) = (format!("annotation / {}", text(&annotation["name"])), text(&annotation["expr"]).to_owned());
            found.push(Query { place, expression, is_instant: false });
        }
        found
    }

    /// The label that a variable lists, and the series in which it looks.
    pub fn variables(&self) -> Vec<(String, String)> {
        let variables = list(&self.0["templating"]["list"]).iter().filter(|variable| variable["type"] == "query");
        variables
            .map(|variable| {
                let query = text(&variable["query"]["query"]);
                let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
                let (series, label) = inner.rsplit_once(", ").unwrap();
                (label.to_owned(), series.to_owned())
            })
            .collect()
    }

    /// An expression as Prometheus gets it.
    pub fn filled(&self, expression: &str, chosen: &Chosen) -> String {
        let mut filled = expression.replace("$__rate_interval", RATE_INTERVAL).replace("$__range", &format!("{}s", chosen.range));
        for variable in list(&self.0["templating"]["list"]) {
            let name = text(&variable["name"]);
            // `All` is what the variable says that it is, or an alternative of all its values.
            let value = match variable["allValue"].as_str() {
                Some(_) if name == "namespace" => chosen.namespace.to_owned(),
                Some(all) => all.to_owned(),
                None if name == "destination" => format!("({})", chosen.destinations.join("|")),
                None => continue,
            };
            filled = filled.replace(&format!("${name}"), &value);
        }
        assert!(!filled.contains('$'), "a variable is not filled in: {filled}");
        filled
    }

    /// What a panel says of a number: its word, or the number where it has none, and its colour.
    pub fn says(&self, title: &str, value: Option<f64>) -> (String, String) {
        let panel = list(&self.0["panels"]).iter().find(|panel| panel["title"] == title).unwrap();
        let defaults = &panel["fieldConfig"]["defaults"];
        for mapping in list(&defaults["mappings"]) {
            let replaced = match (text(&mapping["type"]), value) {
                ("special", None) => &mapping["options"]["result"],
                ("value", Some(value)) => &mapping["options"][value.to_string()],
                _ => continue,
            };
            if replaced.is_object() {
                return (text(&replaced["text"]).to_owned(), text(&replaced["color"]).to_owned());
            }
        }
        let value = value.unwrap_or_else(|| panic!("{title} has no word for no value"));
        let mut steps = list(&defaults["thresholds"]["steps"]).iter();
        let step = steps.rfind(|step| step["value"].as_f64().is_none_or(|from| value >= from)).unwrap();
        (value.to_string(), text(&step["color"]).to_owned())
    }

    /// The panels of single numbers, with their queries.
    pub fn answers(&self) -> Vec<(String, String)> {
        let stats = list(&self.0["panels"]).iter().filter(|panel| panel["type"] == "stat");
        stats.map(|panel| (text(&panel["title"]).to_owned(), text(&panel["targets"][0]["expr"]).to_owned())).collect()
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
