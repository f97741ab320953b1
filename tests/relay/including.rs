//! `include`: rules in several files are one set of rules, for every command and for the running relay.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Receiver, Relay, Setup, eventually, reveal, run, run_with};

const SOURCE: &str = "source: { path: /webhooks/wiza, api_keys: [test-key] }\n";

/// A file with a destination and a route that sends everything to it.
fn part(receiver: &Receiver, name: &str) -> String {
    let url = receiver.url(&format!("/{name}"));
    format!("destinations:\n  {name}: {{ url: '{url}' }}\nroutes:\n  - {{ name: to {name}, to: [{name}] }}\n")
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The destinations of a new event, by name.
async fn planned(relay: &Relay, number: u64) -> Vec<String> {
    let id = relay.webhook(reveal(number)).accepted().await;
    let mut names: Vec<String> = relay.stored().planned(&id).into_iter().map(|delivery| delivery.destination).collect();
    names.sort_unstable();
    names
}

/// What the relay says of its rules once they are others than `before`.
async fn others_than(relay: &Relay, before: &str) -> String {
    eventually("other rules are in effect", async || {
        let told = relay.get("/readyz?verbose").await.1;
        (told != before && !told.contains(" is not: ")).then_some(told)
    })
    .await
}

async fn refused(relay: &Relay, words: &str) {
    eventually("the rules are refused", async || relay.get("/readyz?verbose").await.1.contains(words).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_in_every_file_take_effect_and_so_do_files_that_come_and_go() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write(here, "routes.yaml", &format!("include: [one.yaml, 'crm/*.yaml', later/a.yaml]\n{SOURCE}{}", part(&receiver, "main")));
    write(here, "one.yaml", &part(&receiver, "one"));
    write(here, "crm/b.yaml", &part(&receiver, "two"));
    write(here, "later/a.yaml", "destinations: {}\n");
    let relay = Setup::new("").rules_file(here.join("routes.yaml")).seen_by(&receiver).start().await;
    let mut told = relay.get("/readyz?verbose").await.1;
    assert_eq!(planned(&relay, 1).await, ["main", "one", "two"]);

    write(here, "one.yaml", &part(&receiver, "uno"));
    told = others_than(&relay, &told).await;
    assert_eq!(planned(&relay, 2).await, ["main", "two", "uno"]);
    // In a folder of its own, and new.
    write(here, "crm/a.yaml", &part(&receiver, "new"));
    told = others_than(&relay, &told).await;
    assert_eq!(planned(&relay, 3).await, ["main", "new", "two", "uno"]);
    // As editors write.
    write(here, "crm/.a.yaml.swp", "not rules: [");
    write(here, "crm/a.yaml~", &part(&receiver, "newer"));
    fs::rename(here.join("crm/a.yaml~"), here.join("crm/a.yaml")).unwrap();
    told = others_than(&relay, &told).await;
    assert_eq!(planned(&relay, 4).await, ["main", "newer", "two", "uno"]);
    fs::remove_file(here.join("crm/b.yaml")).unwrap();
    told = others_than(&relay, &told).await;
    assert_eq!(planned(&relay, 5).await, ["main", "newer", "uno"]);
    // The folder goes, and comes again with other files.
    fs::remove_dir_all(here.join("crm")).unwrap();
    told = others_than(&relay, &told).await;
    assert_eq!(planned(&relay, 6).await, ["main", "uno"]);
    write(here, "crm/c.yaml", &part(&receiver, "again"));
    told = others_than(&relay, &told).await;
    write(here, "crm/c.yaml", &part(&receiver, "anew"));
    told = others_than(&relay, &told).await;
    assert_eq!(planned(&relay, 7).await, ["anew", "main", "uno"]);

    // A part that is wrong changes nothing, and the finding has its file.
    write(here, "crm/c.yaml", &part(&receiver, "main"));
    refused(&relay, &format!("the first at {}", here.join("crm/c.yaml:2:3").display())).await;
    let (status, problem) = relay.post("/-/reload").await;
    assert_eq!(status, 422);
    assert_eq!(problem["findings"][0]["file"], here.join("crm/c.yaml").display().to_string());
    assert!(problem["findings"][0]["hint"].as_str().unwrap().contains("routes.yaml:4"), "{problem}");
    assert_eq!(planned(&relay, 8).await, ["anew", "main", "uno"]);
    // So does a part that is gone, though it is named in full.
    write(here, "crm/c.yaml", &part(&receiver, "anew"));
    told = others_than(&relay, &told).await;
    fs::remove_file(here.join("one.yaml")).unwrap();
    refused(&relay, "1 error, at ").await;
    assert!(relay.log().contains("there is no file `one.yaml`"), "{}", relay.log());
    assert_eq!(planned(&relay, 9).await, ["anew", "main", "uno"]);
    // By a signal too.
    write(here, "one.yaml", &part(&receiver, "one"));
    relay.signal("HUP");
    others_than(&relay, &told).await;
    assert_eq!(planned(&relay, 10).await, ["anew", "main", "one"]);
    relay.finish().await;
}

/// As the chart mounts them: all files of one ConfigMap, swapped in one step.
#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_of_several_files_is_swapped_as_one() {
    let receiver = Receiver::start().await;
    let mount = tempfile::tempdir().unwrap();
    let main = format!("include: ['*.yaml', 'crm/*.yaml']\n{SOURCE}");
    let swap = |number: usize, files: &[(&str, &str)]| {
        let data = format!("..2026_11_28_{number}");
        write(mount.path(), &format!("{data}/routes.yaml"), &main);
        for (file, name) in files {
            write(mount.path(), &format!("{data}/{file}"), &part(&receiver, name));
        }
        let old = fs::read_link(mount.path().join("..data")).ok();
        symlink(&data, mount.path().join("..data_tmp")).unwrap();
        fs::rename(mount.path().join("..data_tmp"), mount.path().join("..data")).unwrap();
        // Kubernetes makes the links of what is new behind the swap, and takes away those of what is gone.
        for name in ["routes.yaml", "slack.yaml", "crm"] {
            let (link, is_there) = (mount.path().join(name), mount.path().join(&data).join(name).exists());
            match (is_there, fs::symlink_metadata(&link).is_ok()) {
                (true, false) => symlink(format!("..data/{name}"), link).unwrap(),
                (false, true) => fs::remove_file(link).unwrap(),
                _ => {}
            }
        }
        if let Some(old) = old {
            fs::remove_dir_all(mount.path().join(old)).unwrap();
        }
    };
    swap(0, &[("slack.yaml", "one"), ("crm/a.yaml", "two")]);
    let mut relay = Setup::new("").rules_file(mount.path().join("routes.yaml")).seen_by(&receiver).start().await;
    assert_eq!(planned(&relay, 0).await, ["one", "two"]);
    let sets: [&[(&str, &str)]; 4] = [
        &[("slack.yaml", "one"), ("crm/a.yaml", "three")],
        &[("slack.yaml", "three"), ("crm/a.yaml", "one"), ("crm/b.yaml", "two")],
        &[("slack.yaml", "two")],
        &[("slack.yaml", "two"), ("crm/c.yaml", "four")],
    ];
    let sent = std::cell::Cell::new(0);
    for (number, set) in sets.iter().enumerate() {
        let mut expected: Vec<&str> = set.iter().map(|(_, name)| *name).collect();
        expected.sort_unstable();
        swap(number + 1, set);
        // The links of new names come behind the swap: until they are there, the set is another one.
        eventually("the set is in effect", async || {
            sent.set(sent.get() + 1);
            (planned(&relay, sent.get()).await == expected).then_some(())
        })
        .await;
    }
    assert!(!relay.log().contains("the rules were not reloaded"), "{}", relay.log());
    // What was planned for a destination just before its file went away is parked, so not everything has arrived.
    relay.kill();
    relay.assert_balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_reads_the_files_as_one_set() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write(here, "routes.yaml", &format!("include: ['teams/*.yaml']\ndefaults: {{ timeout: 3s }}\n{SOURCE}"));
    let team = "
destinations:
  crm: { url: https://crm.example.com/contacts, headers: { authorization: 'Bearer ${TEAM_TOKEN}' }, body: { id: $.data.id } }
routes:
  - { name: contacts, when: data.id == 7, to: [crm] }
tests:
  - { name: seven, payload: samples/seven.json, expect: { crm: { body: { id: 7 } } } }
";
    write(here, "teams/crm.yaml", team);
    write(here, "teams/samples/seven.json", &reveal(7));
    write(here, "teams/slack.yaml", "\nroutes:\n  - { name: also, to: [crm] }\n");
    // Beside the part, and not included though `*.yaml` would fit.
    write(here, "teams/more.test.yaml", "tests: [{ name: eight, payload: { data: { id: 8 } }, expect: { crm: { route: also } } }]\n");
    let rules = here.join("routes.yaml").display().to_string();
    let payload = here.join("teams/samples/seven.json").display().to_string();

    let checked = run(&["check", &rules]).await;
    checked.assert_refused(1, &["teams/crm.yaml:3", "the variable `TEAM_TOKEN` is not set", "Bearer ${TEAM_TOKEN}", "^^^^"]);
    let checked = run_with(&["check", &rules], &[("TEAM_TOKEN", "a-secret-of-the-team")]).await;
    assert_eq!(checked.output.trim(), format!("{rules}: good, 2 routes to 1 destination in 3 files, 0 warnings"), "{checked:?}");

    let explained = run_with(&["explain", "--config", &rules, &payload], &[("TEAM_TOKEN", "a-secret-of-the-team")]).await;
    assert!(explained.output.contains(&format!("match  contacts  {}:5", here.join("teams/crm.yaml").display())), "{}", explained.output);
    assert!(explained.output.contains("slack.yaml:3") && !explained.output.contains("a-secret-of-the-team"), "{}", explained.output);
    let explained = run(&["explain", "--json", "--config", &rules, &payload]).await;
    let explained: Value = serde_json::from_str(&explained.output).unwrap();
    assert_eq!(explained["routes"][0]["file"], here.join("teams/crm.yaml").display().to_string());
    assert_eq!((&explained["routes"][0]["line"], &explained["routes"][1]["line"]), (&5.into(), &3.into()));

    let tested = run(&["test", &rules]).await;
    assert!(tested.output.contains("2 passed, 0 failed"), "{tested:?}");
    write(here, "teams/crm.yaml", &team.replace("body: { id: 7 }", "body: { id: 8 }"));
    let tested = run(&["test", &rules]).await;
    assert!(tested.output.contains(&format!("FAIL  seven  ({}:7)", here.join("teams/crm.yaml").display())), "{tested:?}");

    // An editor's schema for such a file.
    let schema = run(&["schema", "--included"]).await;
    let schema: Value = serde_json::from_str(&schema.output).unwrap();
    let keys: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["destinations", "routes", "tests"]);
    assert!(schema.get("required").is_none(), "{schema}");
}
