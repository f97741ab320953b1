//! What an operator does with a running relay: look, take up again what died, check the books.

use serde_json::{Value, json};

use crate::harness::{Answer, Receiver, Relay, Setup, eventually, reveal, run};

const TWO_DESTINATIONS: &str = "
  retry: { attempts: 1 }
  circuit: { refusals: 0 }
destinations:
  crm: { url: \"CRM/crm\" }
  slack: { url: \"SLACK/slack\" }
routes:
  - { name: failures, when: data.status == \"failed\", to: [slack] }
  - { name: reveals, when: type == \"individual_reveal\", to: [crm] }
";

fn two_destinations(crm: &Receiver, slack: &Receiver) -> Setup {
    let routes = TWO_DESTINATIONS.replace("CRM", &crm.url("")).replace("SLACK", &slack.url(""));
    Setup::new(format!("defaults:{routes}")).seen_by(crm).seen_by(slack)
}

fn failed(id: u64) -> String {
    reveal(id).replace("finished", "failed")
}

fn column<'v>(lines: &'v [Value], name: &str) -> Vec<&'v str> {
    lines.iter().map(|line| line[name].as_str().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_deliveries_are_listed_filtered_and_shown() {
    let (crm, slack) = (Receiver::start().await, Receiver::always(Answer::status(404).body("no such channel")).await);
    let relay = two_destinations(&crm, &slack).start().await;
    let first = relay.webhook(reveal(1)).below("/emea?campaign=q4").accepted().await;
    let second = relay.webhook(failed(2)).accepted().await;
    let other = relay.webhook(r#"{"type":"list_done","data":{"email":"Somebody@Example.com"}}"#).accepted().await;
    let refused = relay.webhook("[1]").send().await;
    let quarantined = refused.json()["detail"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
    relay.wait_for_metric("deliveries_total", &[("destination", "slack"), ("outcome", "dead")], 1).await;
    relay.wait_for_outcome("delivered", 2).await;

    let all = relay.listed(&["events"]).await;
    assert_eq!(column(&all, "id"), [&quarantined, &other, &second, &first], "the newest first");
    assert_eq!(column(&all, "status"), ["quarantined", "unmatched", "routed", "routed"]);
    assert_eq!((&all[3]["path"], &all[3]["query"]), (&json!("emea"), &json!("campaign=q4")));
    assert_eq!(all[2]["routes"], json!(["failures", "reveals"]));
    let deliveries = json!([
        { "id": format!("{second}_crm"), "destination": "crm", "status": "delivered" },
        { "id": format!("{second}_slack"), "destination": "slack", "status": "dead" },
    ]);
    assert_eq!(all[2]["deliveries"], deliveries);
    for (filter, found) in [
        (&["--status", "quarantined"][..], vec![&quarantined]),
        (&["--status", "unmatched"], vec![&other]),
        (&["--destination", "slack"], vec![&second]),
        (&["--route", "reveals"], vec![&second, &first]),
        (&["--search", "somebody@example.COM"], vec![&other]),
        (&["--search", "campaign=q4"], vec![&first]),
        (&["--search", &first[20..]], vec![&first]),
        (&["--since", "1h", "--until", "2999-01-01T00:00:00Z", "--limit", "2"], vec![&quarantined, &other]),
        (&["--until", "1h"], vec![]),
        (&["--since", "2999-01-01T00:00:00Z"], vec![]),
    ] {
        let listed = relay.listed(&[&["events"], filter].concat()).await;
        assert_eq!(column(&listed, "id"), found, "{filter:?}");
    }
    assert!(all[0]["reason"].as_str().unwrap().contains("an array"), "{}", all[0]);

    let deliveries = relay.listed(&["deliveries"]).await;
    assert_eq!(column(&deliveries, "id"), [format!("{second}_crm"), format!("{second}_slack"), format!("{first}_crm")]);
    for (filter, found) in [
        (&["--status", "dead"][..], vec![format!("{second}_slack")]),
        (&["--status", "delivered", "--route", "reveals"], vec![format!("{second}_crm"), format!("{first}_crm")]),
        (&["--status", "waiting"], vec![]),
        (&["--status", "retrying"], vec![]),
        (&["--status", "parked"], vec![]),
        (&["--destination", "crm", "--search", "emea"], vec![format!("{first}_crm")]),
    ] {
        let listed = relay.listed(&[&["deliveries"], filter].concat()).await;
        assert_eq!(column(&listed, "id"), found, "{filter:?}");
    }

    let shown = &relay.listed(&["deliveries", "show", &format!("{second}_slack")]).await[0];
    assert_eq!(shown["last_status"], 404);
    assert_eq!(shown["body"]["data"]["id"], 2);
    let attempts = shown["attempt_log"].as_array().unwrap();
    assert_eq!((attempts.len(), &attempts[0]["reply"]), (1, &json!("no such channel")));
    let shown = &relay.listed(&["deliveries", "show", &format!("{first}_crm")]).await[0];
    assert_eq!((&shown["attempt_log"][0]["number"], &shown["attempt_log"][0]["status"]), (&json!(1), &json!(200)));
    let shown = relay.ask(&["events", "show", &quarantined]).await;
    assert!(shown.output.contains("status: quarantined") && shown.output.ends_with("body:\n[\n  1\n]\n"), "{shown:?}");

    let listed = relay.ask(&["events"]).await.output;
    assert_eq!(listed.lines().count(), 5, "{listed}");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_join_without_a_gap_or_a_repetition() {
    let (crm, slack) = (Receiver::always(Answer::status(404)).await, Receiver::always(Answer::status(404)).await);
    let relay = two_destinations(&crm, &slack).start().await;
    for number in 0..23 {
        relay.webhook(failed(number)).accepted().await;
    }
    relay.wait_for_outcome("dead", 23).await;
    relay.wait_for_metric("deliveries_total", &[("destination", "slack"), ("outcome", "dead")], 23).await;
    for (path, total) in
        [("events?", 23), ("deliveries?", 46), ("deliveries?status=dead&", 46), ("deliveries?status=dead&destination=crm&", 23)]
    {
        let (mut from, mut seen) = (String::new(), Vec::new());
        for page in 0.. {
            assert!(page < 50, "{path} has no end");
            let (status, text) = relay.get(&format!("/api/{path}limit=3{from}")).await;
            assert_eq!(status, 200, "{text}");
            let page: Value = serde_json::from_str(&text).unwrap();
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => from = format!("&from={next}"),
                None => break,
            }
        }
        let mut unique = seen.clone();
        unique.sort();
        unique.dedup();
        assert_eq!((seen.len(), unique.len()), (total, total), "{path}");
        let events: Vec<&str> = seen.iter().map(|id| &id[..36]).collect();
        assert!(events.is_sorted_by(|one, other| one >= other), "the newest first: {seen:?}");
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_make_no_sense_get_an_answer_that_does() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    for (path, status, detail) in [
        ("/api/events?status=lost", 400, "`routed`, `unmatched`, `quarantined`"),
        ("/api/events?colour=red", 400, "`colour` is no parameter"),
        ("/api/events?destination=crn", 400, "there are `crm`"),
        ("/api/events?since=yesterday", 400, "since: `yesterday` is no time"),
        ("/api/events?since=1M", 400, "since: `1M` can be minutes or months: write `1m` for minutes, `1month`"),
        ("/api/events?limit=0", 400, "from 1 to 1000"),
        ("/api/events?from=e1", 400, "`next`"),
        ("/api/deliveries?status=dead&from=e0197a000-0000-7000-8000-000000000001", 400, "`next`"),
        ("/api/events/12", 400, "it is a UUID"),
        ("/api/events/0197a000-0000-7000-8000-000000000001", 404, "retention"),
        ("/api/deliveries/12", 400, "<event id>_<destination>"),
        ("/api/deliveries/0197a000-0000-7000-8000-000000000001_crm", 404, "retention"),
        ("/api/nothing", 404, "openapi.json"),
    ] {
        let (found, text) = relay.get(path).await;
        assert_eq!(found, status, "{path}: {text}");
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{path}: {text}");
    }
    let ran = relay.ask(&["events", "--status", "lost"]).await;
    ran.assert_refused(1, &["there is no status `lost`"]);
    relay.ask(&["redrive"]).await.assert_refused(2, &["--all"]);
    relay.ask(&["redrive", "no-id"]).await.assert_refused(1, &["<event id>_<destination>"]);
    relay.ask(&["pause", "crn"]).await.assert_refused(1, &["there is no destination `crn`; did you mean `crm`? there are `crm`"]);
    relay.finish().await;
    let ran = run(&["events", "--admin-url", "http://127.0.0.1:1"]).await;
    ran.assert_refused(1, &["no relay answers at http://127.0.0.1:1/", "wiza-relay serve", "--admin-url"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dead_are_counted_first_and_then_sent_again_with_the_same_id() {
    let (crm, slack) = (Receiver::always(Answer::status(404)).await, Receiver::always(Answer::status(404)).await);
    let mut relay = two_destinations(&crm, &slack).start().await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(relay.webhook(failed(number)).accepted().await);
    }
    relay.wait_for_outcome("dead", 6).await;
    relay.wait_for_metric("deliveries_total", &[("destination", "slack"), ("outcome", "dead")], 6).await;
    let before = crm.requests();
    crm.become_always(Answer::status(200));

    let counted = relay.ask(&["redrive", "--destination", "crm", "--dry-run"]).await;
    assert_eq!((counted.code, counted.output.as_str()), (Some(0), "6 dead deliveries\n  crm: 6\n"));
    let unasked = relay.ask(&["redrive", "--destination", "crm"]).await;
    unasked.assert_refused(2, &["add --yes"]);
    assert_eq!(relay.metric("dead_letters", &[("destination", "crm")]).await, 6, "nothing has happened yet");

    let one = format!("{}_crm", ids[2]);
    let done = relay.ask(&["redrive", &one, &one, &format!("{}_slack", ids[0]), "--yes"]).await;
    assert_eq!((done.code, done.output.as_str()), (Some(0), "2 deliveries queued again, 50 due a second\n  crm: 1\n  slack: 1\n"));
    relay.wait_for_outcome("delivered", 1).await;
    let done = relay.listed(&["redrive", "--destination", "crm", "--yes", "--rate", "0"]).await;
    assert_eq!(
        done,
        [
            json!({ "dry_run": false, "matched": 5, "planned": 5, "already": 0, "destinations": [{ "destination": "crm", "count": 5 }], "refused": [] })
        ]
    );
    relay.wait_for_outcome("delivered", 6).await;
    let metrics = relay.metrics().await;
    metrics.assert_conserved();
    let of_crm = [("destination", "crm")];
    assert_eq!((metrics.get("redriven_total", &of_crm), metrics.get("dead_letters", &of_crm), metrics.get("waiting", &of_crm)), (6, 0, 0));

    // The same ids, and the attempts before are still told.
    let id_of = |request: &crate::harness::Request| request.header("webhook-id").to_owned();
    let mut again: Vec<String> = crm.requests()[before.len()..].iter().map(id_of).collect();
    let mut first: Vec<String> = before.iter().map(id_of).collect();
    again.sort();
    first.sort();
    assert_eq!(again, first);
    let shown = &relay.listed(&["deliveries", "show", &one]).await[0];
    let told = |attempt: &Value| (attempt["number"].clone(), attempt["status"].clone(), attempt["before_redrive"].clone());
    let log: Vec<_> = shown["attempt_log"].as_array().unwrap().iter().map(told).collect();
    assert_eq!(log, [(json!(1), json!(404), json!(true)), (json!(1), json!(200), json!(false))], "counted anew, as in the log");

    // The one to Slack died again; a restart knows all of it.
    relay.wait_for_metric("deliveries_total", &[("destination", "slack"), ("outcome", "dead")], 7).await;
    relay.terminate().await;
    relay.start_again().await;
    let metrics = relay.metrics().await;
    metrics.assert_conserved();
    let of_slack = [("destination", "slack")];
    assert_eq!((metrics.get("redriven_total", &of_slack), metrics.get("dead_letters", &of_slack)), (1, 6));
    let none = relay.ask(&["redrive", "--destination", "crm", "--yes"]).await;
    assert_eq!((none.code, none.output.as_str()), (Some(0), "0 dead deliveries; nothing is queued\n"));
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_is_spaced_out_and_survives_a_kill() {
    let crm = Receiver::always(Answer::status(404)).await;
    let mut relay = Setup::to(&crm, "retry: { attempts: 1 }, circuit: { refusals: 0 }").start().await;
    for number in 0..40 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_outcome("dead", 40).await;
    crm.become_always(Answer::status(200));
    assert_eq!(relay.ask(&["redrive", "--all", "--yes", "--rate", "20"]).await.code, Some(0));
    let at_once = relay.metrics().await;
    at_once.assert_conserved();
    assert!(at_once.get("waiting", &[("destination", "crm")]) > 10, "they wait for their turn");
    relay.kill();
    relay.assert_balanced().await;
    relay.start_again().await;
    relay.wait_for_outcome("delivered", 40).await;
    let (first, last) = (crm.requests()[40].at, crm.requests().last().unwrap().at);
    assert!(last.duration_since(first).as_millis() > 1000, "20 a second");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_sees_what_happens() {
    let crm = Receiver::answering([Answer::status(500)]).await;
    let relay = Setup::to(&crm, "retry: { first: 1ms }").start().await;
    let follow = |path: &str| reqwest::get(format!("http://{}/api/{path}", relay.admin));
    let mut events = follow("events/follow").await.unwrap();
    let mut deliveries = follow("deliveries/follow?status=delivered").await.unwrap();
    let mut dead = follow("deliveries/follow?status=dead").await.unwrap();
    let id = relay.webhook(reveal(1)).accepted().await;
    let event: Value = serde_json::from_slice(&events.chunk().await.unwrap().unwrap()).unwrap();
    assert_eq!((&event["id"], &event["status"]), (&json!(id), &json!("routed")));
    let delivery: Value = serde_json::from_slice(&deliveries.chunk().await.unwrap().unwrap()).unwrap();
    assert_eq!((&delivery["event_id"], &delivery["attempts"]), (&json!(id), &json!(2)));
    relay.finish().await;
    assert_eq!(dead.chunk().await.unwrap(), None, "the end of the relay ends it, and nothing died");
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_this_machine_the_api_wants_its_token_and_metrics_do_not() {
    let receiver = Receiver::start().await;
    let open = Setup::to(&receiver, "").on_all_interfaces().start().await;
    for (path, status) in [("/metrics", 200), ("/healthz", 200), ("/readyz", 200), ("/api/events", 403), ("/api/openapi.json", 403)] {
        assert_eq!(open.get(path).await.0, status, "{path}");
    }
    let (status, problem) = open.post("/-/reload").await;
    assert_eq!(status, 403, "{problem}");
    open.finish().await;

    let token = "0123456789abcdef0123";
    let kept = Setup::to(&receiver, "").on_all_interfaces().env("WIZA_RELAY_ADMIN_TOKEN", token).start().await;
    assert_eq!((kept.get("/metrics").await.0, kept.get("/api/events").await.0), (200, 401));
    kept.ask(&["events"]).await.assert_refused(1, &["the admin token is needed", "--admin-token"]);
    kept.ask(&["events", "--admin-token", "0123456789abcdef0124"]).await.assert_refused(1, &["that is not the admin token"]);
    let right = kept.ask(&["events", "--admin-token", token]).await;
    assert_eq!(right.code, Some(0), "{right:?}");
    assert!(!kept.log().contains(token));
    kept.finish().await;
    run(&["serve", "--admin-token", "short"]).await.assert_refused(2, &["shorter than 16"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_cannot_make_a_browser_talk_to_it() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let client = reqwest::Client::new();
    for (header, value) in [("host", "evil.example"), ("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")] {
        let pause = client.post(format!("http://{}/api/destinations/crm/pause", relay.admin)).header(header, value);
        assert_eq!(pause.send().await.unwrap().status(), 403, "{header}");
    }
    assert_eq!(relay.metric("circuit_open", &[("destination", "crm")]).await, 0);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_describes_every_path_that_there_is() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let (status, text) = relay.get("/api/openapi.json").await;
    assert_eq!(status, 200);
    let document: Value = serde_json::from_str(&text).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 12, "{:?}", paths.keys());
    for (path, verbs) in paths {
        let verb = verbs.as_object().unwrap().keys().next().unwrap();
        let url = path.replace("{id}", "x").replace("{name}", "x");
        if path.ends_with("/follow") {
            continue;
        }
        let status = if verb == "get" { relay.get(&url).await.0 } else { relay.post(&url).await.0 };
        assert!([200, 400, 404].contains(&status) && status != 405, "{verb} {url}: {status}");
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_walks_the_store_of_a_running_relay_and_finds_what_is_missing() {
    let crm = Receiver::start().await;
    let mut relay = Setup::to(&crm, "").start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.webhook(reveal(2)).accepted().await;
    relay.wait_for_outcome("delivered", 2).await;
    relay.assert_balanced().await;
    relay.kill();
    relay.assert_balanced().await;
    let store = relay.store().display().to_string();
    let balanced = run(&["audit", "--store", &store, "--json"]).await;
    let account: Value = serde_json::from_str(&balanced.output).unwrap();
    assert_eq!((&account["planned"], &account["delivered"], &account["balances"]), (&json!(2), &json!(2), &json!(true)));

    let tamper = |statement: &str| rusqlite::Connection::open(format!("{store}/relay.db")).unwrap().execute(statement, []).unwrap();
    // A delivery's outcome is lost: one counts as delivered, and is found waiting.
    assert_eq!(tamper("DELETE FROM deliveries WHERE event = 1"), 1);
    let ran = run(&["audit", "--store", &store]).await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.output.contains("crm: planned 2 + redriven 0 ≠ delivered 2 + dead 0 + waiting 1   (2 ≠ 3)"), "{}", ran.output);
    assert!(ran.output.contains("2 events walked: THE BOOKS DO NOT BALANCE"), "{}", ran.output);
    // An event is lost, but what became of it is not.
    assert_eq!(tamper("DELETE FROM events WHERE sequence = 2"), 1);
    let ran = run(&["audit", "--store", &store]).await;
    assert!(ran.error.contains("the delivery of event 2 to destination 0 has no event"), "{ran:?}");
    assert!(!ran.output.contains(&id));

    let missing = relay.folder().join("nowhere").display().to_string();
    run(&["audit", "--store", &missing]).await.assert_refused(1, &["there is no relay.db", "--store"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_is_listed_as_parked_and_goes_on_when_its_destination_returns() {
    let (crm, other) = (Receiver::always(Answer::status(500)).await, Receiver::start().await);
    let with_crm = format!(
        "destinations:\n  crm: {{ url: '{}', retry: {{ first: 1ms, max: 1s }} }}\n  other: {{ url: '{}' }}\nroutes:\n  - {{ name: all, to: [crm, other] }}\n",
        crm.url("/"),
        other.url("/")
    );
    let without = format!("destinations:\n  other: {{ url: '{}' }}\nroutes:\n  - {{ name: all, to: [other] }}\n", other.url("/"));
    let mut relay: Relay = Setup::new(&with_crm).seen_by(&crm).seen_by(&other).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    crm.wait_for(2).await;
    relay.write_rules(&without);
    relay.reloaded().await;
    let parked = eventually("it is parked", async || {
        let parked = relay.listed(&["deliveries", "--status", "parked"]).await;
        (!parked.is_empty()).then_some(parked)
    })
    .await;
    assert_eq!(column(&parked, "id"), [format!("{id}_crm")]);
    assert!(relay.listed(&["deliveries", "--status", "retrying"]).await.is_empty());
    assert!(relay.ask(&["destinations"]).await.output.contains("crm"), "it is still known");
    relay.assert_balanced().await;
    crm.become_always(Answer::status(200));
    relay.write_rules(&with_crm);
    relay.reloaded().await;
    relay.wait_for_outcome("delivered", 1).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_documents_and_alerts_name_is_there_from_the_start() {
    let receiver = Receiver::start().await;
    // But for what a check of the books has found, as nobody knows that before.
    let relay = Setup::to(&receiver, "").flag("audit-interval", "50ms").start().await;
    eventually("the books were checked", async || relay.metrics().await.find("audit_last_balanced", &[])).await;
    let metrics = relay.metrics().await.text;
    let is_there = |name: &str| metrics.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let alert_tests = std::fs::read_dir(root.join("alerts/tests")).unwrap().map(|entry| entry.unwrap().path());
    let files = ["README.md", "ARCHITECTURE.md", "alerts/rules.yaml", "dashboards/wiza-relay.json"].map(|name| root.join(name));
    let pages = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    // Of histograms docs/metrics.md has the families' names; `measuring` holds it against a relay both ways.
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md") && !path.ends_with("metrics.md"));
    // With a colon they are the recording rules' own.
    let names = regex::Regex::new(r"[a-z0-9_:]*\b(wiza_relay|process)_[a-z0-9_:]+").unwrap();
    let mut all = 0;
    for file in files.into_iter().chain(alert_tests).chain(pages) {
        let text = std::fs::read_to_string(&file).unwrap();
        let named: Vec<&str> = names.find_iter(&text).map(|found| found.as_str()).filter(|name| !name.contains(':')).collect();
        for name in &named {
            assert!(is_there(name), "{}: a relay has no {name}", file.display());
        }
        all += named.len();
    }
    assert!(all > 200, "{all} names were found");
    relay.finish().await;
}
