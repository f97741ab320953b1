//! Answers to an operator are true: what was done is told, and so is what was not, and why.

use serde_json::{Value, json};

use crate::harness::{API_KEY, Answer, Receiver, Relay, Setup, reveal, run};

/// Everything to `crm`, failures to `slack` too.
fn two(crm: &Receiver, slack: &Receiver, keys: &str) -> String {
    format!(
        "destinations:\n  crm: {{ url: '{}', {keys} }}\n  slack: {{ url: '{}' }}\nroutes:\n  - {{ name: failures, when: data.status == \"failed\", to: [slack] }}\n  - {{ name: everything, to: [crm] }}\n",
        crm.url("/"),
        slack.url("/")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_of_what_is_not_dead_says_what_it_is_and_does_the_rest() {
    let (crm, slack) = (Receiver::answering([Answer::status(404)]).await, Receiver::start().await);
    let mut relay = Setup::new(two(&crm, &slack, "concurrency: 1")).seen_by(&crm).seen_by(&slack).start().await;
    let dead = format!("{}_crm", relay.webhook(reveal(1)).accepted().await);
    relay.wait_for_outcome("dead", 1).await;
    let event = relay.webhook(reveal(2)).accepted().await;
    let delivered = format!("{event}_crm");
    relay.wait_for_outcome("delivered", 1).await;
    assert_eq!(relay.ask(&["pause", "crm"]).await.code, Some(0));
    let waiting = format!("{}_crm", relay.webhook(reveal(3)).accepted().await);
    let (elsewhere, never) = (format!("{event}_slack"), "01890000-0000-7000-8000-000000000000_crm");

    for (id, words) in [
        (delivered.as_str(), "is delivered; only dead deliveries can be redriven"),
        (&waiting, "is waiting, and was not attempted yet; only dead deliveries can be redriven"),
        (&elsewhere, "its event goes to others, and not to `slack`"),
        (never, "its event was never here, or its retention has ended"),
    ] {
        let ran = relay.ask(&["redrive", id, "--yes"]).await;
        assert_eq!((ran.code, ran.output.as_str()), (Some(1), "0 dead deliveries; nothing is queued\n"), "{ran:?}");
        assert!(ran.error.contains(&format!("{id} {words}")) || ran.error.contains(&format!("{id}: {words}")), "{ran:?}");
    }
    assert_eq!(relay.ask(&["redrive", &delivered, "--dry-run"]).await.code, Some(1));

    // What is dead among them is taken up all the same.
    let some = relay.ask(&["redrive", &delivered, &dead, &delivered, "--yes"]).await;
    assert_eq!((some.code, some.output.as_str()), (Some(1), "1 delivery queued again, 50 due a second\n  crm: 1\n"), "{some:?}");
    assert!(some.error.contains("is delivered; only dead") && some.error.contains("crm is paused"), "{some:?}");
    let again = relay.ask(&["redrive", &dead, "--yes", "--json"]).await;
    let answer: Value = serde_json::from_str(&again.output).unwrap();
    assert_eq!((again.code, &answer["matched"], &answer["already"]), (Some(1), &json!(0), &json!(1)), "{again:?}");
    assert_eq!(answer["refused"][0]["id"], json!(dead));

    // One whose destination has left the file is parked.
    relay.write_rules(two(&crm, &slack, "").replace("crm: {", "other: {").replace("[crm]", "[other]"));
    relay.reloaded().await;
    let parked = relay.ask(&["redrive", &waiting, "--yes"]).await;
    parked.assert_refused(1, &["is parked until `crm` is in routes.yaml again"]);
    relay.write_rules(two(&crm, &slack, ""));
    relay.reloaded().await;
    let ran = relay.ask(&["resume", "crm"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_there_is_not_is_an_error_with_what_was_meant_and_one_that_there_was_is_none() {
    let (crm, slack) = (Receiver::start().await, Receiver::start().await);
    let mut relay = Setup::new(two(&crm, &slack, "")).seen_by(&crm).seen_by(&slack).start().await;
    for command in ["events", "deliveries", "redrive"] {
        for (flag, wrong, told) in [
            ("--route", "failure", ["did you mean `failures`?", "`everything`"]),
            ("--destination", "clack", ["did you mean `slack`?", "`crm`"]),
            ("--status", if command == "events" { "ruoted" } else { "deda" }, ["did you mean", "there are"]),
        ] {
            if command == "redrive" && flag == "--status" {
                continue;
            }
            let ran = relay.ask(&[command, flag, wrong]).await;
            ran.assert_refused(1, &[&format!("there is no {} `{wrong}`", &flag[2..]), told[0], told[1]]);
        }
    }
    for command in ["events", "deliveries"] {
        let ran = relay.ask(&[command, "--follow", "--route", "failure"]).await;
        ran.assert_refused(1, &["did you mean `failures`?"]);
    }
    for command in ["pause", "resume"] {
        relay.ask(&[command, "cmr"]).await.assert_refused(1, &["there is no destination `cmr`; did you mean `crm`?", "`slack`"]);
    }
    for command in [&["events"][..], &["deliveries"], &["redrive", "--dry-run"]] {
        let ran = relay.ask(&[command, &["--since", "1h", "--until", "2h"]].concat()).await;
        ran.assert_refused(1, &["is not before `until`", "nothing lies between them"]);
    }
    // A route that has left the file still names what it sent.
    relay.webhook(reveal(1)).accepted().await;
    relay.write_rules(two(&crm, &slack, "").replace("name: everything", "name: all"));
    relay.reloaded().await;
    assert_eq!(relay.listed(&["events", "--route", "everything"]).await.len(), 1);
    assert_eq!(relay.listed(&["events", "--route", "all"]).await.len(), 0);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_says_which_version_is_in_effect_and_since_when_and_whether_it_is_another() {
    let (crm, slack) = (Receiver::start().await, Receiver::start().await);
    let mut relay = Setup::new(two(&crm, &slack, "")).seen_by(&crm).seen_by(&slack).start().await;
    let in_effect = async |relay: &Relay| -> Value { serde_json::from_str(&relay.get("/api/rules").await.1).unwrap() };
    let first = in_effect(&relay).await;
    let (version, since) = (first["version"].as_str().unwrap(), first["since"].as_str().unwrap());
    assert!(version.len() == 12 && since.ends_with('Z') && first["refused"].is_null(), "{first}");

    let ran = relay.ask(&["reload"]).await;
    let told = format!("in effect already: version {version}, since {since}\n");
    assert_eq!((ran.code, ran.output), (Some(0), told), "what was in effect before is so since before");
    assert_eq!(in_effect(&relay).await, first);
    let log = relay.log();
    let line = log.lines().find(|line| line.contains("the rules were reloaded")).unwrap();
    assert!(line.contains("changed=false") && line.contains(version) && line.contains(since), "{line}");

    // The watch may be first, so the answer may be 'nothing has changed': which version that is, is told either way.
    relay.write_rules(two(&crm, &slack, "timeout: 3s"));
    let ran = relay.ask(&["reload", "--json"]).await;
    let answer: Value = serde_json::from_str(&ran.output).unwrap();
    let second = in_effect(&relay).await;
    assert_eq!(ran.code, Some(0));
    assert!(
        answer["version"] == second["version"] && answer["since"] == second["since"] && second["version"] != version,
        "{answer} {second}"
    );

    relay.write_rules(two(&crm, &slack, "timeuot: 3s"));
    let ran = relay.ask(&["reload"]).await;
    let (version, since) = (second["version"].as_str().unwrap(), second["since"].as_str().unwrap());
    ran.assert_refused(1, &["timeuot", "did you mean `timeout`?", &format!("version {version}, in effect since {since}")]);
    let (status, problem) = relay.post("/-/reload").await;
    assert_eq!((status, &problem["version"], &problem["since"]), (422, &second["version"], &second["since"]));
    let third = in_effect(&relay).await;
    assert_eq!((&third["version"], &third["since"]), (&second["version"], &second["since"]));
    assert!(third["refused"]["reason"].as_str().unwrap().contains("1 error"), "{third}");
    let log = relay.log();
    let line = log.lines().rfind(|line| line.contains("the rules were not reloaded")).unwrap();
    assert!(line.contains(version) && line.contains(since), "{line}");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn send_shows_the_events_ids_and_the_relays_reasons() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let url = format!("http://{}/webhooks/wiza", relay.webhooks);
    let send = async |more: &[&str]| run(&[&["send", "--url", &url, "--api-key", API_KEY], more].concat()).await;
    let ran = send(&["--sample", "valid"]).await;
    let id = relay.listed(&["events"]).await[0]["id"].as_str().unwrap().to_owned();
    assert!(ran.output.contains(&format!("{id}  accepted")), "{ran:?}");
    let many = send(&["--count", "14"]).await;
    assert_eq!(many.output.matches("  accepted\n").count(), 10, "{many:?}");
    assert!(many.output.contains("and 4 more; --json lists all"), "{many:?}");
    assert_eq!(send(&["--count", "14", "--quiet"]).await.output.matches("  accepted\n").count(), 0);
    let all = send(&["--count", "14", "--json"]).await;
    let lines: Vec<Value> = all.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((all.code, lines.len()), (Some(0), 14));
    let known: Vec<Value> = relay.listed(&["events"]).await.iter().map(|event| event["id"].clone()).collect();
    assert!(lines.iter().all(|line| line["answer"] == "accepted" && line["status"] == 200 && known.contains(&line["id"])), "{all:?}");

    send(&["--sample", "vaild"]).await.assert_refused(2, &["did you mean `valid`?"]);
    let wrong = run(&["send", "--url", &url, "--api-key", "wrong", "--count", "2"]).await;
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.output.contains("2  401: x-auth-key is missing, or is not the SHA-256"), "{wrong:?}");
    let elsewhere = run(&["send", "--url", &url.replace("wiza", "wzia"), "--api-key", API_KEY, "--count", "1", "--json"]).await;
    let line: Value = serde_json::from_str(&elsewhere.output).unwrap();
    assert_eq!((elsewhere.code, &line["status"], &line["id"]), (Some(1), &json!(421), &json!(null)));
    assert!(line["detail"].as_str().unwrap().contains("webhooks belong under /webhooks/wiza"), "{line}");
    relay.wait_for_outcome("delivered", 1 + 14 * 3).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_so_already_is_said_to_be() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    for (verb, words) in [
        ("resume", "nothing held crm back, so nothing has changed: 0 waiting\n"),
        ("pause", "crm is paused: 0 waiting; `wiza-relay resume crm` goes on\n"),
        ("pause", "crm was paused already: 0 waiting; `wiza-relay resume crm` goes on\n"),
        ("resume", "crm was paused and goes on: 0 waiting\n"),
    ] {
        let ran = relay.ask(&[verb, "crm"]).await;
        assert_eq!((ran.code, ran.output.as_str()), (Some(0), words), "{verb}");
    }
    let answer = &relay.listed(&["pause", "crm"]).await[0];
    assert_eq!((&answer["was"], &answer["circuit"], &answer["was_held"]), (&json!("closed"), &json!("paused"), &json!(false)), "{answer}");
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.ask(&["events", "release", &id]).await.assert_refused(1, &["is not in quarantine: it was routed already"]);
    assert_eq!(relay.ask(&["resume", "crm"]).await.code, Some(0));
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_is_good_only_where_the_store_is_too_and_says_that_it_looked() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").start().await;
    relay.terminate().await;
    let (rules, store) = (relay.routes_file().display().to_string(), relay.store().display().to_string());
    let ran = run(&["check", &rules, "--store", &store]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.output.contains(&format!("{store}: good, a store that this version opens")), "{ran:?}");
    let folder = tempfile::tempdir().unwrap();
    let ran = run(&["check", &rules, "--store", &folder.path().display().to_string()]).await;
    assert!(ran.code == Some(0) && ran.output.contains(": no store is there yet; `serve` makes one"), "{ran:?}");
    std::fs::write(folder.path().join("relay.db"), "no store at all, but a text that is somewhat longer than a header").unwrap();
    let other = folder.path().display().to_string();
    let ran = run(&["check", &rules, "--store", &other, "--json"]).await;
    let answer: Value = serde_json::from_str(ran.output.lines().next().unwrap()).unwrap();
    assert_eq!((ran.code, &answer["ok"], &answer["store"]["ok"]), (Some(1), &json!(false), &json!(false)), "{ran:?}");
}
