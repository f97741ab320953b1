//! New rules take effect while the relay runs: wholly or not at all.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::harness::{Answer, Receiver, Relay, Setup, eventually, one_destination, reveal, run_with};

/// Everything to these destinations.
fn rules(receiver: &Receiver, destinations: &[&str]) -> String {
    let urls: Vec<String> = destinations.iter().map(|name| format!("{name}: {{ url: '{}' }}", receiver.url(&format!("/{name}")))).collect();
    format!("destinations: {{ {} }}\nroutes: [{{ name: all, to: [{}] }}]\n", urls.join(", "), destinations.join(", "))
}

fn planned(relay: &Relay, id: &str) -> Vec<String> {
    relay.stored().planned(id).into_iter().map(|delivery| delivery.destination).collect()
}

async fn wait_for_refusal(relay: &Relay) -> String {
    eventually("the file is refused", async || Some(relay.get("/readyz?verbose").await).filter(|(_, told)| told.contains(" is not: ")))
        .await
        .1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_takes_effect_by_itself() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::new(rules(&receiver, &["one"])).seen_by(&receiver).start().await;
    let before = relay.webhook(reveal(1)).accepted().await;
    let first = relay.stored().rules(&before);
    relay.write_rules(rules(&receiver, &["one", "two"]));
    relay.reloaded().await;
    assert_eq!(relay.metric("waiting", &[("destination", "two")]).await, 0, "a new destination has its series at once");
    let after = relay.webhook(reveal(2)).accepted().await;
    assert_eq!(planned(&relay, &before), ["one"]);
    assert_eq!(planned(&relay, &after), ["one", "two"]);
    let second = relay.stored().rules(&after);
    assert_ne!(first, second);
    // An editor that writes another file and renames it over this one.
    let other = relay.folder().join("routes.yaml~");
    let text = std::fs::read_to_string(relay.routes_file()).unwrap().replace("name: all", "name: every");
    std::fs::write(&other, text).unwrap();
    std::fs::rename(&other, relay.routes_file()).unwrap();
    relay.reloaded().await;
    let last = relay.webhook(reveal(3)).accepted().await;
    assert_ne!(relay.stored().rules(&last), second);
    assert_eq!(relay.stored().planned(&last)[0].route.as_deref(), Some("every"));
    relay.finish().await;
}

/// What Kubernetes does with a ConfigMap: the files lie in a folder named by time, `..data` leads to it, and each update
/// makes a new folder, swaps the link in one step and deletes the old folder.
fn swap(mount: &Path, number: usize, text: &str) {
    let folder = format!("..2026_11_24_0{number}");
    std::fs::create_dir(mount.join(&folder)).unwrap();
    std::fs::write(mount.join(&folder).join("routes.yaml"), text).unwrap();
    let old = std::fs::read_link(mount.join("..data")).ok();
    symlink(&folder, mount.join("..data_tmp")).unwrap();
    std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    if let Some(old) = old {
        std::fs::remove_dir_all(mount.join(old)).unwrap();
    } else {
        symlink("..data/routes.yaml", mount.join("routes.yaml")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_is_swapped_again_and_again() {
    let receiver = Receiver::start().await;
    let mount = tempfile::tempdir().unwrap();
    let source = "source: { path: /webhooks/wiza, api_keys: [test-key] }\n";
    let text = |names: &[&str]| format!("{source}{}", rules(&receiver, names));
    swap(mount.path(), 1, &text(&["one"]));
    let relay = Setup::new("").rules_file(mount.path().join("routes.yaml")).seen_by(&receiver).start().await;
    let versions: [&[&str]; 4] = [&["one", "two"], &["two"], &["two", "three"], &["one", "two", "three"]];
    for (number, names) in versions.iter().enumerate() {
        swap(mount.path(), number + 2, &text(names));
        relay.reloaded().await;
        let id = relay.webhook(reveal(number as u64)).accepted().await;
        let mut planned = planned(&relay, &id);
        planned.sort_unstable();
        let mut names = names.to_vec();
        names.sort_unstable();
        assert_eq!(planned, names, "after swap {number}");
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_secrets_stands_in_the_place_of_the_environment_and_is_read_again() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let secret = |number: usize, text: &str| {
        let data = format!("..2026_11_27_{number}");
        std::fs::create_dir(folder.path().join(&data)).unwrap();
        std::fs::write(folder.path().join(&data).join("CRM_TOKEN"), text).unwrap();
        symlink(&data, folder.path().join("..data_tmp")).unwrap();
        std::fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).unwrap();
    };
    secret(0, "from-the-folder\n");
    symlink("..data/CRM_TOKEN", folder.path().join("CRM_TOKEN")).unwrap();
    let from = folder.path().display().to_string();
    let with_header = |name: &str| one_destination(&receiver.url("/crm"), &format!("headers: {{ x-token: '${{{name}}}' }}"));
    let setup = Setup::new(with_header("CRM_TOKEN")).seen_by(&receiver).flag("secrets-from", &from);
    let mut relay = setup.env("CRM_TOKEN", "from-the-environment").env("ONLY_A_VARIABLE", "from-the-environment").start().await;
    relay.webhook(reveal(1)).accepted().await;
    receiver.wait_for(1).await;
    assert_eq!(receiver.requests()[0].header("x-token"), "from-the-folder");
    // Kubernetes swaps the folder, and tells nobody.
    secret(1, "another");
    eventually("the new value is read", async || relay.log().contains("the rules were reloaded").then_some(())).await;
    relay.webhook(reveal(2)).accepted().await;
    receiver.wait_for(2).await;
    assert_eq!(receiver.requests()[1].header("x-token"), "another");
    assert!(!relay.log().contains("another") && !relay.log().contains("from-the-folder"), "{}", relay.log());
    // What is no file there is not set, whatever the environment has.
    relay.write_rules(with_header("ONLY_A_VARIABLE"));
    wait_for_refusal(&relay).await;
    for words in ["there is no file `ONLY_A_VARIABLE` in", "with --secrets-from values come from that folder only"] {
        assert!(relay.log().contains(words), "{}", relay.log());
    }
    let rules = relay.routes_file().display().to_string();
    let variables = [("WIZA_RELAY_SECRETS_FROM", from.as_str()), ("ONLY_A_VARIABLE", "x")];
    run_with(&["check", &rules], &variables).await.assert_refused(1, &["there is no file `ONLY_A_VARIABLE`"]);
    relay.write_rules(with_header("CRM_TOKEN"));
    relay.reloaded().await;
    for command in [["check", "--secrets-from", &from, &rules].as_slice(), &["explain", "--secrets-from", &from, "--config", &rules, "-"]] {
        let ran = run_with(command, &[]).await;
        assert!(!ran.error.contains("CRM_TOKEN"), "{ran:?}");
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_file_changes_nothing_and_is_shown_everywhere() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::new(rules(&receiver, &["one"])).seen_by(&receiver).start().await;
    assert_eq!(relay.metric("config_last_reload_successful", &[]).await, 1);
    relay.write_rules(rules(&receiver, &["one", "two"]).replace("to: [one, two]", "to: [one, tow], when: data.id = 1"));
    let told = wait_for_refusal(&relay).await;
    assert!(told.starts_with("ready\n") && told.contains("2 errors, the first at ") && told.contains("routes.yaml:"), "{told}");
    assert_eq!(relay.get("/readyz").await, (200, "ready\n".to_owned()), "the old rules go on");
    assert_eq!(relay.metric("config_last_reload_successful", &[]).await, 0);
    for words in ["the rules were not reloaded", "there is no destination `tow`", "did you mean `two`?", "`==`", "column"] {
        assert!(relay.log().contains(words), "`{words}` is not in the log");
    }
    let (status, problem) = relay.post("/-/reload").await;
    assert_eq!((status, problem["status"].as_u64(), problem["findings"].as_array().unwrap().len()), (422, Some(422), 2), "{problem}");
    let file = relay.routes_file().display().to_string();
    assert_eq!(problem["findings"][0]["file"], json!(file));
    let id = relay.webhook(reveal(1)).accepted().await;
    assert_eq!(planned(&relay, &id), ["one"]);

    relay.write_rules(rules(&receiver, &["two"]));
    relay.reloaded().await;
    assert_eq!(relay.metric("config_last_reload_successful", &[]).await, 1);
    let id = relay.webhook(reveal(2)).accepted().await;
    assert_eq!(planned(&relay, &id), ["two"]);

    std::fs::remove_file(relay.routes_file()).unwrap();
    let told = wait_for_refusal(&relay).await;
    assert!(told.contains("No such file"), "{told}");
    assert_eq!(relay.post("/-/reload").await.0, 500);
    relay.write_rules(rules(&receiver, &["one", "two"]));
    relay.reloaded().await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hangup_and_post_reload_too() {
    let receiver = Receiver::start().await;
    let secrets = tempfile::tempdir().unwrap();
    let token = secrets.path().join("token");
    std::fs::write(&token, "first").unwrap();
    let routes = rules(&receiver, &["one"]).replace("one: {", &format!("one: {{ headers: {{ x-token: '${{file:{}}}' }},", token.display()));
    let relay = Setup::new(routes).seen_by(&receiver).start().await;
    let (status, answer) = relay.post("/-/reload").await;
    assert_eq!((status, &answer["status"], &answer["findings"]), (200, &json!("unchanged"), &json!([])), "{answer}");
    relay.webhook(reveal(1)).accepted().await;
    receiver.wait_for(1).await;

    // The file of a secret is not in the watched folder.
    std::fs::write(&token, "second").unwrap();
    relay.signal("HUP");
    eventually("the rules are reloaded", async || (relay.log().matches("the rules were reloaded").count() == 2).then_some(())).await;
    relay.webhook(reveal(2)).accepted().await;
    receiver.wait_for(2).await;
    std::fs::write(&token, "third").unwrap();
    let (status, answer) = relay.post("/-/reload").await;
    assert_eq!((status, &answer["status"]), (200, &json!("reloaded")), "{answer}");
    relay.webhook(reveal(3)).accepted().await;
    receiver.wait_for(3).await;
    // Without a word from anybody it is found within the poll's interval.
    std::fs::write(&token, "fourth").unwrap();
    eventually("the rules are reloaded", async || (relay.log().matches("the rules were reloaded").count() == 4).then_some(())).await;
    relay.webhook(reveal(4)).accepted().await;
    relay.finish().await;
    let tokens: Vec<_> = receiver.requests().iter().map(|request| request.header("x-token").to_owned()).collect();
    assert_eq!(tokens, ["first", "second", "third", "fourth"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_leaves_parks_and_one_that_comes_back_goes_on() {
    let down = Receiver::scripted(|_, _| Answer::status(503)).await;
    let up = Receiver::start().await;
    let keys = "retry: { first: 1ms, max: 20ms, attempts: 999 }, circuit: { failures: 100000, cooldown: 10ms }";
    let crm = |receiver: &Receiver| format!("crm: {{ url: '{}', {keys} }}", receiver.url("/crm"));
    let routes = |crm: &str| format!("destinations: {{ {crm} log: {{ url: '{}' }} }}\n", up.url("/log"));
    let with = |receiver: &Receiver| routes(&format!("{},", crm(receiver))) + "routes: [{ name: all, to: [crm, log] }]\n";
    let mut relay = Setup::new(with(&down)).seen_by(&up).start().await;
    for number in 0..20 {
        relay.webhook(reveal(number)).accepted().await;
    }
    let crm = ("destination", "crm");
    relay.wait_for_metric("waiting", &[crm], 20).await;
    down.wait_for(20).await;

    relay.write_rules(routes("") + "routes: [{ name: all, to: [log] }]\n");
    relay.reloaded().await;
    relay.wait_for_metric("parked", &[crm], 20).await;
    tokio::time::sleep(Duration::from_millis(100)).await; // what was in flight
    let attempts = down.count();
    relay.webhook(reveal(20)).accepted().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(down.count(), attempts, "nothing is attempted at a destination that left");
    relay.metrics().await.assert_conserved();

    // It comes back with another URL, and what was parked goes there.
    relay.write_rules(with(&up));
    relay.reloaded().await;
    relay.wait_for_outcome("delivered", 20).await;
    assert_eq!(relay.metric("parked", &[crm]).await, 0);
    // Parked over a restart too.
    relay.write_rules(with(&down));
    relay.reloaded().await;
    relay.webhook(reveal(21)).accepted().await;
    relay.wait_for_metric("waiting", &[crm], 1).await;
    relay.write_rules(routes("") + "routes: [{ name: all, to: [log] }]\n");
    relay.reloaded().await;
    relay.kill();
    relay.start_again().await;
    assert_eq!(relay.metric("parked", &[crm]).await, 1);
    relay.write_rules(with(&up));
    relay.reloaded().await;
    relay.finish().await;
    assert_eq!(up.requests().iter().filter(|request| request.path == "/crm").count(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_destination_keeps_its_queue() {
    let down = Receiver::scripted(|_, _| Answer::status(503)).await;
    let up = Receiver::start().await;
    let keys = "retry: { first: 1h }, circuit: { failures: 3, cooldown: 1h }";
    let mut relay = Setup::to(&down, keys).seen_by(&up).start().await;
    for number in 0..50 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_metric("circuit_open", &[("destination", "crm")], 1).await;
    let routes = |receiver: &Receiver, keys: &str| one_destination(&receiver.url("/crm"), keys);
    relay.write_rules(routes(&up, "retry: { first: 1ms, max: 1ms }, circuit: { failures: 3, cooldown: 10ms }"));
    relay.reloaded().await;
    // Those that were tried have their next attempt in an hour; the others go out once the shorter cooldown is over.
    eventually("what was not tried yet arrives", async || (up.count() >= 50 - 18).then_some(())).await;
    let waiting = || relay.metric("waiting", &[("destination", "crm")]);
    let tried = eventually("their outcomes are written", async || Some(waiting().await).filter(|count| *count <= 18)).await;
    assert!(tried >= 1, "those that were tried wait for their next attempt");
    relay.metrics().await.assert_conserved();
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_routed_by_one_version_of_the_rules() {
    let receiver = Receiver::start().await;
    let (even, odd) = (["even-one", "even-two", "even-three"], ["odd-one", "odd-two"]);
    let mut relay = Setup::new(rules(&receiver, &even)).seen_by(&receiver).start().await;
    let mut known = vec![(version(&relay), "even")];
    let poster = relay.poster();
    let posting = tokio::spawn(async move {
        let mut ids = Vec::new();
        for number in 0..1500 {
            ids.push(poster.webhook(reveal(number)).accepted().await);
        }
        ids
    });
    for round in 0..20 {
        let (names, word): (&[&str], _) = if round % 2 == 0 { (&odd, "odd") } else { (&even, "even") };
        relay.write_rules(rules(&receiver, names));
        known.push((version(&relay), word));
        assert_eq!(relay.post("/-/reload").await.0, 200);
    }
    let ids = posting.await.unwrap();
    relay.write_rules(rules(&receiver, &[&even[..], &odd[..]].concat()));
    relay.reloaded().await;
    let stored = relay.stored();
    let mut counts = [0, 0];
    for id in &ids {
        let rules = stored.rules(id);
        let word = known.iter().find(|(version, _)| *version == rules).unwrap().1;
        let destinations = planned(&relay, id);
        let expected: &[&str] = if word == "odd" { &odd } else { &even };
        assert_eq!(destinations, expected, "{id} was routed by {word} rules");
        counts[usize::from(word == "odd")] += 1;
    }
    assert!(counts.iter().all(|count| *count > 0), "both versions were in effect while events came: {counts:?}");
    relay.finish().await;
}

fn version(relay: &Relay) -> String {
    wiza_relay::config::version(&std::fs::read_to_string(relay.routes_file()).unwrap())
}

/// A rotated secret that came along with a byte order mark, or did not come at all, is refused by name and place.
#[tokio::test(flavor = "multi_thread")]
async fn a_secrets_file_that_is_empty_or_has_something_around_it_changes_nothing_and_is_named() {
    let receiver = Receiver::start().await;
    let secrets = tempfile::tempdir().unwrap();
    let token = secrets.path().join("token");
    std::fs::write(&token, "first-token\n").unwrap();
    let headers = format!("headers: {{ x-token: '${{file:{}}}' }}", token.display());
    let relay = Setup::to(&receiver, &headers).start().await;
    for (content, what) in [
        ("", "is empty"),
        (" \n", "holds nothing but blanks"),
        ("\u{feff}second-token", "begins with a byte order mark (BOM), U+FEFF"),
        ("second-token\n\n", "ends with a line break"),
    ] {
        std::fs::write(&token, content).unwrap();
        let (status, problem) = relay.post("/-/reload").await;
        assert_eq!(status, 422, "{content:?}: {problem}");
        let finding = &problem["findings"][0];
        assert_eq!(finding["message"], json!(format!("the file `{}` {what}", token.display())), "{content:?}");
        assert!(finding["line"].as_u64().unwrap() > 1 && finding["severity"] == "error", "{finding}");
        assert!(!problem.to_string().contains("second-token") && !relay.log().contains("second-token"), "{problem}");
        assert!(relay.log().contains(what), "`{what}` is not in the log");
    }
    relay.webhook(reveal(1)).accepted().await;
    assert_eq!(receiver.wait_for(1).await[0].header("x-token"), "first-token");
    // A blank around it may be meant, so it is used, and told of.
    std::fs::write(&token, " third-token").unwrap();
    let (status, reloaded) = relay.post("/-/reload").await;
    assert_eq!((status, &reloaded["status"]), (200, &json!("reloaded")), "{reloaded}");
    eventually("the log tells of the blank", async || relay.log().contains("begins with a blank").then_some(())).await;
    relay.finish().await;
}
