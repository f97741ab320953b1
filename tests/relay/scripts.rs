//! The commands as a script uses them: what docs/commands.md says of `--json`, and each of its recipes.

use std::process::Command;

use serde_json::Value;

use crate::harness::{API_KEY, Answer, Receiver, Relay, Setup, binary, eventually, repository, reveal};

/// A relay with one destination that takes everything, one that refuses it and one that is paused, and events that went to all.
async fn busy() -> (Relay, Receiver) {
    let (good, bad) = (Receiver::start().await, Receiver::always(Answer::status(404)).await);
    let rules = format!(
        "destinations:\n  crm: {{ url: \"{}\" }}\n  refuses: {{ url: \"{}\" }}\n  held: {{ url: \"{}\" }}\nroutes:\n  - {{ name: all, to: [crm, refuses, held] }}\n",
        good.url("/"),
        bad.url("/"),
        good.url("/held")
    );
    let relay = Setup::new(rules).start().await;
    assert_eq!(relay.ask(&["pause", "held"]).await.code, Some(0));
    for id in 1..=3 {
        relay.webhook(reveal(id)).accepted().await;
    }
    relay.wait_for_metric("deliveries_total", &[("destination", "crm"), ("outcome", "delivered")], 3).await;
    relay.wait_for_metric("deliveries_total", &[("destination", "refuses"), ("outcome", "dead")], 3).await;
    (relay, good)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recipe_answers() {
    if Command::new("jq").arg("--version").output().is_err() {
        println!("SKIPPED: jq is not installed");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "jq is not installed");
        return;
    }
    let (mut relay, _receiver) = busy().await;
    let programs = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(binary(), programs.path().join("wiza-relay")).unwrap();
    let path = format!("{}:{}", programs.path().display(), std::env::var("PATH").unwrap());
    let text = std::fs::read_to_string(repository("docs/commands.md")).unwrap();
    let recipes: Vec<&str> = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(recipes.len() > 5, "{recipes:?}");
    for recipe in recipes {
        let mut command = Command::new("timeout");
        // A build that fails because of a warning is one of the recipes: its rules have none.
        command.args(["60", "bash", "--norc", "-euo", "pipefail", "-c", recipe]).current_dir(relay.folder()).env_clear().env("PATH", &path);
        command.env("WIZA_RELAY_ADMIN_URL", format!("http://{}", relay.admin)).env("WIZA_API_KEY", API_KEY);
        command.env("WIZA_RELAY_URL", format!("http://{}/webhooks/wiza", relay.webhooks));
        let ran = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let (output, error) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{recipe}{output}{error}");
        let says_nothing = recipe.contains("check --no-env") || recipe.starts_with("until ");
        assert_eq!(output.is_empty(), says_nothing, "{recipe}{output}{error}");
    }
    relay.kill();
}

/// The columns of the table: commands, and what they answer.
fn documented() -> Vec<String> {
    let text = std::fs::read_to_string(repository("docs/commands.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.flat_map(|row| row.split(" | ").next().unwrap().split("`, `").map(|name| name.trim_matches('`').to_owned()).collect::<Vec<_>>())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_output_is_json_and_nothing_else() {
    let (mut relay, _receiver) = busy().await;
    let dead = relay.listed(&["deliveries", "--status", "dead"]).await.remove(0)["id"].as_str().unwrap().to_owned();
    let event = relay.listed(&["events"]).await.remove(0)["id"].as_str().unwrap().to_owned();
    let (rules, store) = (relay.routes_file().display().to_string(), relay.store().display().to_string());
    let url = format!("http://{}/webhooks/wiza", relay.webhooks);
    let mut seen: Vec<&str> = Vec::new();
    // The command, whether it asks a relay, and how many objects it prints where that is known.
    for (arguments, asks, objects) in [
        (vec!["check", &rules], false, Some(1)),
        (vec!["explain", &rules, "valid"], false, Some(1)),
        (vec!["test", &rules], false, None),
        (vec!["send", "--sample", "valid", "--count", "2", "--api-key", API_KEY, "--url", &url], false, Some(2)),
        (vec!["events"], true, None),
        (vec!["events", "show", &event], true, Some(1)),
        (vec!["deliveries", "--limit", "4"], true, Some(4)),
        (vec!["deliveries", "show", &dead], true, Some(1)),
        (vec!["destinations"], true, Some(3)),
        (vec!["redrive", "--destination", "refuses", "--dry-run"], true, Some(1)),
        (vec!["redrive", &dead, "--yes"], true, Some(1)),
        (vec!["pause", "crm"], true, Some(1)),
        (vec!["resume", "crm"], true, Some(1)),
        (vec!["reload"], true, Some(1)),
        (vec!["audit", "--store", &store], false, Some(3)),
        (vec!["export", "--store", &store], false, None),
        (vec!["schema"], false, Some(1)),
    ] {
        seen.push(arguments[0]);
        let is_json_anyway = ["export", "schema"].contains(&arguments[0]);
        let arguments = if is_json_anyway { arguments } else { [&arguments[..], &["--json"]].concat() };
        let ran = if asks { relay.ask(&arguments).await } else { crate::harness::run(&arguments).await };
        let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&ran.output).into_iter::<Value>().collect();
        let values = values.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {ran:?}"));
        assert!(values.iter().all(Value::is_object), "{arguments:?}: {ran:?}");
        if let Some(objects) = objects {
            assert_eq!(values.len(), objects, "{arguments:?}: {ran:?}");
        }
        if arguments[0] != "schema" {
            assert_eq!(ran.output.lines().count(), values.len(), "one object a line: {arguments:?}: {ran:?}");
        }
    }
    for command in documented() {
        let name = command.split(' ').next().unwrap();
        assert!(seen.contains(&name), "docs/commands.md speaks of `{command}`, which was not tried");
    }
    // Another command that takes `--json` would have to be in the table.
    let help = crate::harness::run(&["--help"]).await.output;
    let names =
        help.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|name| name.chars().all(|letter| letter.is_ascii_lowercase()) && *name != "help" && *name != "wiza") {
        let takes_json = crate::harness::run(&[name, "--help"]).await.output.contains("--json");
        assert!(!takes_json || seen.contains(&name), "`{name} --json` is not in docs/commands.md");
    }
    eventually("the log is there", async || (!relay.log().is_empty()).then_some(())).await;
    relay.kill();
}
