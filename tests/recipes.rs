//! docs/rules.md and docs/recipes/ are run: every row of their tables, every recipe with its tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use wiza_relay::condition::{Condition, Scope};
use wiza_relay::config::{Config, Payload, TestCase, load, schema};
use wiza_relay::event::{Event, EventId};
use wiza_relay::explain::{Decided, explain};
use wiza_relay::rule_test;

/// The variables that the recipes name.
const VARIABLES: [(&str, &str); 5] = [
    ("WIZA_API_KEY", "a-wiza-api-key"),
    ("SLACK_URL", "https://hooks.slack.example/T0"),
    ("DISCORD_URL", "https://discord.example/api/webhooks/1/x"),
    ("CRM_TOKEN", "a-token-of-the-crm"),
    ("API_KEY", "a-key-of-the-api"),
];

fn lookup(name: &str) -> Option<String> {
    VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn event(path: &str, query: &str, body: Bytes) -> Event {
    Event::new(EventId::new(Timestamp::UNIX_EPOCH), Timestamp::UNIX_EPOCH, path.to_owned(), query.to_owned(), body)
}

fn config(name: &str, text: &str) -> Config {
    let loaded = load(name, text, &lookup);
    assert!(loaded.findings.is_empty(), "{name}: {:?}\n{text}", loaded.findings);
    loaded.config.unwrap()
}

/// The rows of the table with this heading, as cells without the backticks around code.
fn table(heading: &str) -> Vec<Vec<String>> {
    let rows = table_at(heading, 0);
    assert!(rows.len() > 10, "the table `{heading}` was not read");
    rows
}

fn table_at(heading: &str, place: usize) -> Vec<Vec<String>> {
    let page = read("docs/rules.md");
    let rest = page.split(heading).nth(place + 1).unwrap_or_else(|| panic!("there is no table `{heading}`"));
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    let rows: Vec<Vec<String>> = rows
        .map(|row| {
            let row = row.replace("\\|", "\u{0}");
            let cells = row.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{0}', "|"));
            cells.map(|cell| cell.trim_matches('`').to_owned()).collect()
        })
        .collect();
    assert!(!rows.is_empty(), "the table `{heading}` was not read");
    rows
}

/// The rows of all tables with this heading.
fn tables(heading: &str) -> Vec<Vec<String>> {
    let count = read("docs/rules.md").matches(heading).count();
    (0..count).flat_map(|place| table_at(heading, place)).collect()
}

fn holds(condition: &str, event: &Event) -> bool {
    let parsed = Condition::parse(condition).unwrap_or_else(|error| panic!("`{condition}`: {}", error.message));
    parsed.holds(&Scope { payload: event.payload(), event: &|| event.facts() }).unwrap()
}

#[test]
fn every_example_of_the_language_holds() {
    let full = event("emea", "campaign=q4", Bytes::from(read("samples/full.json"))).of_account(Some("emea".into()));
    for row in table("| what | example |") {
        assert!(holds(&row[1], &full), "{row:?}");
    }
}

#[test]
fn every_surprise_is_so() {
    let rows = table("| condition | payload | holds | because |");
    for row in &rows {
        let event = event("", "", Bytes::from(row[1].clone()));
        assert!(event.payload().is_object(), "{row:?}");
        let found = if holds(&row[0], &event) { "yes" } else { "no" };
        assert_eq!(found, row[2], "{row:?}");
    }
    let many = "data.emails[*].email_status == \"valid\"";
    assert!(read("docs/rules.md").contains(many) && Condition::parse(many).is_err());
}

#[test]
fn every_body_is_sent_as_the_table_says() {
    for row in tables("| in a body | payload | is sent as | because |") {
        // As it would stand in a file: without quotes unless they are YAML's.
        let file = format!(
            "source: {{ path: /w, api_keys: [k] }}\ndestinations:\n  d:\n    url: https://d.example/\n    body:\n      it: {}\nroutes: [{{ name: r, to: [d] }}]\n",
            row[0]
        );
        let loaded = load("table", &file, &lookup);
        let config = loaded.config.unwrap_or_else(|| panic!("{row:?}: {:?}", loaded.findings));
        let event = Arc::new(event("", "", Bytes::from(row[1].clone())));
        let explanation = explain(&config, &event, Timestamp::UNIX_EPOCH);
        let found = match &explanation.deliveries[0].request {
            Ok(request) => {
                let body: Value = serde_json::from_slice(&request.body).unwrap();
                body.get("it").map_or("nothing: the key is left out".to_owned(), Value::to_string)
            }
            Err(_) => "error".to_owned(),
        };
        assert_eq!(found, row[2], "{row:?}");
    }
}

/// The pages of recipes, by their paths from the root.
fn pages() -> Vec<String> {
    let files = std::fs::read_dir(root().join("docs/recipes")).unwrap();
    let mut pages: Vec<String> = files.map(|file| format!("docs/recipes/{}", file.unwrap().file_name().display())).collect();
    pages.sort();
    pages
}

/// The first block of YAML in a text.
fn block(text: &str) -> &str {
    text.split("```").next().unwrap()
}

/// The recipes with their titles, as whole files.
fn recipes() -> Vec<(String, String)> {
    let index = read("docs/recipes.md");
    let frame = block(index.split("```yaml\n").nth(1).unwrap());
    assert!(frame.starts_with("source:") && frame.lines().count() == 1, "the index shows the source of all: {frame}");
    let mut files = Vec::new();
    for page in pages() {
        let page = read(&page);
        let parts: Vec<&str> = page.split("```yaml\n").collect();
        files.extend(parts.windows(2).map(|pair| {
            let title = pair[0].rsplit("\n**").next().unwrap().split("**").next().unwrap();
            let block = block(pair[1]);
            let file = if block.starts_with("source:") { block.to_owned() } else { format!("{frame}{block}") };
            (title.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned(), file)
        }));
    }
    files
}

fn body(case: &TestCase) -> Bytes {
    match &case.payload {
        Payload::File(name) => Bytes::from(read(name)),
        Payload::Inline(value) => Bytes::from(value.to_string()),
    }
}

#[test]
fn every_recipe_passes_its_tests() {
    let recipes = recipes();
    assert!(recipes.len() >= 20, "{}", recipes.len());
    let titles: BTreeSet<&str> = recipes.iter().map(|(title, _)| title.as_str()).collect();
    assert_eq!(titles.len(), recipes.len(), "each recipe has a title of its own: {titles:?}");
    for (title, file) in &recipes {
        let config = config(title, file);
        for case in &config.tests {
            let differences = rule_test::run(&config, case, body(case), Timestamp::UNIX_EPOCH).unwrap();
            assert!(differences.is_empty(), "{title}: {}: {differences:?}", case.name);
        }
    }
}

/// The index has one list for each page, of its recipes in their order; and no page is too long to be read.
#[test]
fn the_index_names_every_page_and_recipe() {
    let index = read("docs/recipes.md");
    let sections: Vec<(&str, Vec<String>)> = index
        .split("\n## [")
        .skip(1)
        .map(|section| {
            let page = section.split("](").nth(1).unwrap().split(')').next().unwrap();
            let titles = section.split("\n- ").skip(1).map(|title| title.split_whitespace().collect::<Vec<_>>().join(" "));
            (page, titles.collect())
        })
        .collect();
    let listed: BTreeSet<String> = sections.iter().map(|(page, _)| format!("docs/{page}")).collect();
    assert_eq!(listed, pages().into_iter().collect(), "the pages");
    let mut titles = Vec::new();
    for (page, listed) in &sections {
        let text = read(&format!("docs/{page}"));
        assert!(text.lines().count() <= 300, "{page} is too long");
        for title in listed {
            assert!(text.split_whitespace().collect::<Vec<_>>().join(" ").contains(&format!("**{title}")), "{page} has no `{title}`");
        }
        titles.extend(listed.iter().cloned());
    }
    titles.sort();
    let mut recipes: Vec<String> = recipes().into_iter().map(|(title, _)| title).collect();
    recipes.sort();
    assert_eq!(titles, recipes);
}

/// A recipe that is tested shows both what its rules take and what they leave: each condition holds in one of its tests
/// and not in another, and some event reaches nobody or somebody else.
#[test]
fn every_recipe_is_tested_both_ways() {
    for (title, file) in recipes() {
        let config = config(&title, &file);
        let decided: Vec<Vec<Decided<'_>>> = config
            .tests
            .iter()
            .map(|case| {
                let body = body(case);
                let id = EventId::of(case.event.source_of(&serde_json::from_slice(&body).unwrap()), Timestamp::UNIX_EPOCH);
                let event = Event::new(id, Timestamp::UNIX_EPOCH, case.event.path.clone(), case.event.query.clone(), body);
                let event = Arc::new(event.of_account(case.event.account.as_deref().map(Into::into)));
                explain(&config, &event, Timestamp::UNIX_EPOCH).routes.iter().map(|verdict| verdict.decision).collect()
            })
            .collect();
        for (place, route) in config.routes.iter().enumerate() {
            assert!(decided.iter().any(|routes| routes[place] == Decided::Matched), "{title}: no test for `{}`", route.name);
            assert!(decided.iter().any(|routes| routes[place] == Decided::NotMatched), "{title}: no test against `{}`", route.name);
        }
        let reached: BTreeSet<Vec<&str>> =
            config.tests.iter().map(|case| case.expect.iter().map(|(name, _)| name.as_str()).collect()).collect();
        assert!(reached.len() > 1 || config.routes.iter().any(|route| route.shadow), "{title}: all its tests reach the same: {reached:?}");
    }
}

/// A list of Wiza's is no person: what reads as "has no e-mail" must not take one. Only a rule that asks for the type does.
#[test]
fn a_list_is_not_taken_for_a_person() {
    let statuses = ["queued", "resolving", "finished"];
    let list: Value = serde_json::from_str(&read("samples/list.json")).unwrap();
    let mut lists: Vec<Value> = statuses
        .iter()
        .map(|status| {
            let mut list = list.clone();
            list["data"]["status"] = Value::from(*status);
            list
        })
        .collect();
    lists.push(serde_json::from_str(&read("samples/list-data-json.json")).unwrap());
    let mut files = recipes();
    files.push(("routes.yaml".to_owned(), read("routes.yaml")));
    let readme = read("README.md");
    files.push(("README.md".to_owned(), readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap().to_owned()));
    let (mut taken, mut wrong) = (0, BTreeSet::new());
    for (title, file) in files {
        let lookup =
            |name: &str| lookup(name).or_else(|| Some(if name.ends_with("URL") { "https://x.example/" } else { "10s" }.to_owned()));
        let config = load(&title, &file, &lookup).config.unwrap();
        for list in &lists {
            let event = Arc::new(event("", "", Bytes::from(list.to_string())));
            let explanation = explain(&config, &event, Timestamp::UNIX_EPOCH);
            for (route, verdict) in config.routes.iter().zip(&explanation.routes) {
                let Some(when) = &route.when else { continue };
                if verdict.decision != Decided::Matched {
                    continue;
                }
                taken += 1;
                let speaks_of_lists = when.text().contains("type ") || when.text().contains("data_json");
                if !speaks_of_lists {
                    wrong.insert(format!("{title}: `{}` takes a list by `{}`", route.name, when.text()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(taken > 0, "no recipe takes a list: is the one for lists gone?");
}

/// What the pages say one types.
#[test]
fn every_recipe_is_good_in_the_eyes_of_check_test_and_schema() {
    let validator = jsonschema::draft202012::options().build(&schema::routes_file()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("samples")).unwrap();
    for entry in std::fs::read_dir(root().join("samples")).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), folder.path().join("samples").join(entry.file_name())).unwrap();
    }
    let path = folder.path().join("routes.yaml");
    for (title, file) in recipes() {
        std::fs::write(&path, &file).unwrap();
        for (command, good) in [("check", "{\"ok\":true,\"findings\":[]}"), ("test", "\"failed\":0")] {
            let run = Command::new(env!("CARGO_BIN_EXE_wiza-relay")).args([command, "--json"]).arg(&path).envs(VARIABLES).output().unwrap();
            let output = String::from_utf8(run.stdout).unwrap();
            assert!(
                run.status.success() && output.contains(good),
                "{title}: {command}: {output}\n{}",
                String::from_utf8_lossy(&run.stderr)
            );
        }
        let value: Value = serde_yaml::from_str(&file).unwrap();
        let refusals: Vec<String> = validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert_eq!(refusals, Vec::<String>::new(), "{title}");
    }
}
