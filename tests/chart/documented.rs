//! Each value of the chart is explained where it stands, and the README's table is made of that.

use serde_json::Value;

use crate::{path, read, yaml};

const README: &str = "helm/wiza-relay/README.md";
const BEGIN: &str = "<!-- values: written by `UPDATE_EXPECTED=1 cargo test --test chart documented` -->\n";

/// A value: its path, its default, what it is.
struct Documented {
    path: String,
    default: String,
    says: String,
}

/// The values of values.yaml that a comment beginning with `-- ` explains.
fn documented() -> Vec<Documented> {
    let text = read("helm/wiza-relay/values.yaml");
    let values = yaml(&text);
    let mut found = Vec::new();
    // The keys that lead to the line, and how far each is indented.
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut says: Option<String> = None;
    for line in text.lines() {
        let (indent, content) = (line.len() - line.trim_start().len(), line.trim_start());
        if let Some(first) = content.strip_prefix("# -- ") {
            says = Some(first.to_owned());
        } else if let (Some(more), Some(says)) = (content.strip_prefix("# "), says.as_mut()) {
            *says += &format!(" {more}");
        } else if let Some((key, _)) = content.split_once(':').filter(|(key, _)| key.chars().all(char::is_alphanumeric)) {
            above.retain(|(outer, _)| *outer < indent);
            above.push((indent, key.to_owned()));
            if let Some(says) = says.take() {
                let keys: Vec<&str> = above.iter().map(|(_, key)| key.as_str()).collect();
                let default = values.pointer(&format!("/{}", keys.join("/"))).unwrap_or_else(|| panic!("{keys:?}"));
                let default = if default.to_string().len() > 60 { "see values.yaml".to_owned() } else { format!("`{default}`") };
                found.push(Documented { path: keys.join("."), default, says });
            }
        } else {
            says = None;
        }
    }
    found
}

/// Every value that is no map, by its path.
fn leaves(values: &Value, at: &str, found: &mut Vec<String>) {
    match values.as_object().filter(|map| !map.is_empty()) {
        Some(map) => map.iter().for_each(|(key, value)| leaves(value, &format!("{at}.{key}"), found)),
        None => found.push(at.trim_start_matches('.').to_owned()),
    }
}

#[test]
fn every_value_is_explained_where_it_stands() {
    let explained = documented();
    let mut all = Vec::new();
    leaves(&yaml(&read("helm/wiza-relay/values.yaml")), "", &mut all);
    for leaf in all {
        let explains = |one: &Documented| leaf == one.path || leaf.starts_with(&format!("{}.", one.path));
        assert!(explained.iter().any(explains), "values.yaml does not say what {leaf} is");
    }
}

#[test]
fn the_readme_has_all_values() {
    let rows: String = documented()
        .iter()
        .map(|value| format!("| `{}` | {} | {} |\n", value.path, value.default.replace('|', "\\|"), value.says.replace('|', "\\|")))
        .collect();
    let readme = read(README);
    let (before, _) = readme.split_once(BEGIN).expect("the README has the mark at which the table begins");
    let expected = format!("{before}{BEGIN}\n| value | default | what it is |\n|---|---|---|\n{rows}");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(path(README), &expected).unwrap();
    }
    assert!(read(README) == expected, "{README} is out of date: UPDATE_EXPECTED=1 writes its table anew");
}
