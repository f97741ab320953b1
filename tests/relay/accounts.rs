//! Keys with names: which account an event came from, in rules, templates, listings and metrics, and paths of their own.

use serde_json::{Value, json};

use crate::harness::{Answer, Receiver, Relay, Setup, Webhook, eventually, reveal, run_with, sha256_hex};

/// Two accounts, one of them with its old and its new key, and a key without a name.
const KEYS: &str = "[{ name: emea, key: emea-old }, { name: emea, key: emea-new }, { name: apac, key: apac-key }, nameless-key]";

fn file(keys: &str, rest: &str) -> String {
    format!("source: {{ path: /webhooks/wiza, api_keys: {keys} }}\n{rest}\n")
}

/// Everything goes to `all`, what is emea's to `emea` too. Each body says whose event it is.
fn rules(receiver: &Receiver) -> String {
    let url = |path| receiver.url(path);
    format!(
        "defaults: {{ body: {{ account: \"{{{{ event.account | default('nobody') }}}}\", id: $.data.id }}, retry: {{ first: 1ms, max: 1ms }} }}
destinations: {{ all: {{ url: '{}' }}, emea: {{ url: '{}' }} }}
routes: [{{ name: emea, when: event.account == 'emea', to: [emea] }}, {{ name: everything, to: [all] }}]",
        url("/all"),
        url("/emea")
    )
}

fn with_key(relay: &Relay, key: &str, id: u64) -> Webhook {
    relay.webhook(reveal(id)).auth_key(Some(&sha256_hex(key)))
}

/// What came to this path, as `[account, id]`, in order.
fn came(receiver: &Receiver, path: &str) -> Vec<Value> {
    let requests = receiver.requests().into_iter().filter(|request| request.path == path);
    let mut came: Vec<Value> = requests.map(|request| json!([request.json()["account"], request.json()["id"]])).collect();
    came.sort_by_key(ToString::to_string);
    came.dedup();
    came
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_a_fact_of_rules_templates_listings_and_metrics() {
    let receiver = Receiver::start().await;
    let relay = Setup::new(file(KEYS, &rules(&receiver))).seen_by(&receiver).start().await;
    let metrics = relay.metrics().await;
    for account in ["emea", "apac", "(no name)"] {
        for outcome in ["accepted", "duplicate", "unauthorized", "limited", "invalid", "too_large", "timeout", "unavailable"] {
            assert_eq!(metrics.get("webhooks_by_account_total", &[("account", account), ("outcome", outcome)]), 0, "{account} {outcome}");
        }
    }
    let mut ids = Vec::new();
    for (number, key) in [(1, "emea-old"), (2, "emea-new"), (3, "apac-key"), (4, "nameless-key")] {
        ids.push(with_key(&relay, key, number).accepted().await);
    }
    assert_eq!(with_key(&relay, "another-key", 5).send().await.status, 401);
    relay.wait_for_metric("deliveries_total", &[("destination", "all"), ("outcome", "delivered")], 4).await;
    relay.wait_for_metric("deliveries_total", &[("destination", "emea"), ("outcome", "delivered")], 2).await;
    assert_eq!(came(&receiver, "/emea"), [json!(["emea", 1]), json!(["emea", 2])]);
    assert_eq!(came(&receiver, "/all"), [json!(["apac", 3]), json!(["emea", 1]), json!(["emea", 2]), json!(["nobody", 4])]);
    for (account, count) in [("emea", 2), ("apac", 1), ("(no name)", 1)] {
        assert_eq!(relay.metric("webhooks_by_account_total", &[("account", account), ("outcome", "accepted")]).await, count, "{account}");
    }
    assert_eq!(relay.metric("webhooks_total", &[("outcome", "accepted")]).await, 4);

    let listed = relay.listed(&["events"]).await;
    let accounts: Vec<&Value> = listed.iter().map(|event| &event["account"]).collect();
    assert_eq!(accounts, [&Value::Null, &json!("apac"), &json!("emea"), &json!("emea")], "the newest first");
    let of = async |verb: &str, account: &str| {
        let listed = relay.listed(&[verb, "--account", account]).await;
        listed.into_iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of("events", "apac").await, [ids[2].clone()]);
    assert_eq!(of("events", "emea").await, [ids[1].clone(), ids[0].clone()]);
    relay.ask(&["events", "--account", "latam"]).await.assert_refused(1, &["there is no account `latam`; there are `emea`, `apac`"]);
    assert_eq!(of("deliveries", "apac").await, [format!("{}_all", ids[2])]);
    let shown = relay.ask(&["events", "show", &ids[0]]).await.output;
    assert!(shown.lines().any(|line| line == "account: emea"), "{shown}");
    assert!(!relay.log().contains("emea-old") && !relay.log().contains(&sha256_hex("emea-old")), "a key is in the log");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_restarts_and_redrives_see_the_account_that_the_event_came_with() {
    let receiver = Receiver::always(Answer::status(503)).await;
    let rest = rules(&receiver).replace("max: 1ms", "max: 1ms, attempts: 3");
    let mut relay = Setup::new(file(KEYS, &rest)).seen_by(&receiver).start().await;
    let id = with_key(&relay, "apac-key", 1).accepted().await;
    relay.wait_for_metric("deliveries_total", &[("destination", "all"), ("outcome", "dead")], 1).await;
    relay.kill();
    receiver.become_always(Answer::status(200));
    receiver.forget();
    relay.start_again().await;
    let ran = relay.ask(&["redrive", "--account", "emea", "--yes"]).await;
    assert!(ran.output.contains("0 ") || ran.output.contains("no "), "{ran:?}");
    let ran = relay.ask(&["redrive", "--account", "apac", "--yes"]).await;
    assert!(ran.code == Some(0), "{ran:?}");
    relay.wait_for_metric("deliveries_total", &[("destination", "all"), ("outcome", "delivered")], 1).await;
    assert_eq!(came(&receiver, "/all"), [json!(["apac", 1])]);
    // Read again from the disk, and whole: its checksum covers the account.
    let exported = relay.listed(&["events", "show", &id]).await;
    assert_eq!(exported[0]["account"], "apac");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_accounts_send_is_never_a_repetition_and_a_rotated_key_repeats() {
    let receiver = Receiver::start().await;
    let relay = Setup::new(file(KEYS, &rules(&receiver))).seen_by(&receiver).start().await;
    let emea = with_key(&relay, "emea-old", 1).accepted().await;
    let again = with_key(&relay, "emea-new", 1).send().await;
    assert_eq!((again.word().as_str(), again.id()), ("duplicate", emea));
    let apac = with_key(&relay, "apac-key", 1).accepted().await;
    with_key(&relay, "nameless-key", 1).accepted().await;
    assert_eq!(with_key(&relay, "apac-key", 1).send().await.id(), apac);
    relay.finish().await;
    assert_eq!(came(&receiver, "/all").len(), 3);

    // By paths of one's own too.
    let keys = format!("{KEYS}, dedupe: {{ key: [$.data.id] }}");
    let relay = Setup::new(file(&keys, &rules(&receiver))).seen_by(&receiver).start().await;
    let emea = with_key(&relay, "emea-old", 7).accepted().await;
    assert_eq!(with_key(&relay, "emea-new", 7).send().await.id(), emea);
    with_key(&relay, "apac-key", 7).accepted().await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_path_takes_its_keys_alone_and_they_go_nowhere_else() {
    let receiver = Receiver::start().await;
    let keys = "[{ name: emea, key: emea-key, path: /emea }, { name: apac, key: apac-key, path: apac }, { name: free, key: free-key }]";
    let mut relay = Setup::new(file(keys, &rules(&receiver))).seen_by(&receiver).start().await;
    for (number, (key, path, status)) in (0..).zip([
        ("emea-key", "/emea", 200),
        ("emea-key", "/emea/?campaign=q4", 200),
        ("emea-key", "/emea/q4", 200),
        ("emea-key", "", 401),
        ("emea-key", "/emeax", 401),
        ("emea-key", "/apac", 401),
        ("apac-key", "/apac", 200),
        ("apac-key", "/emea", 401),
        ("free-key", "", 200),
        ("free-key", "/other", 200),
        ("free-key", "/emea", 401),
        ("free-key", "/emea/q4", 401),
        ("another-key", "/emea", 401),
    ]) {
        let right = with_key(&relay, key, number).below(path).send().await;
        assert_eq!(right.status, status, "{key} at {path}: {right:?}");
        if status == 401 {
            let wrong = with_key(&relay, "a-stranger's", number).below(path).send().await;
            assert_eq!(wrong.body, right.body, "{key} at {path}: the answer tells a right key from a wrong one");
        }
    }
    let log = relay.log();
    let told = log.lines().find(|line| line.contains("its key is right") && line.contains("account=\"apac\"")).expect(&log);
    assert!(told.contains("bound_to=\"apac\""), "{told}");
    assert!(!log.contains("apac-key") && !log.contains(&sha256_hex("apac-key")), "a key is in the log");
    let refused = [("account", "free"), ("outcome", "unauthorized")];
    assert_eq!(relay.metric("webhooks_by_account_total", &refused).await, 2);

    // Keys, names and paths are rules: they change while the relay runs.
    let keys = "[{ name: emea, key: emea-key }, { name: new, key: apac-key, path: emea/q4 }]";
    relay.write_rules(file(keys, &rules(&receiver)));
    relay.reloaded().await;
    assert_eq!(relay.metric("webhooks_by_account_total", &[("account", "new"), ("outcome", "accepted")]).await, 0);
    with_key(&relay, "emea-key", 100).accepted().await;
    let id = with_key(&relay, "apac-key", 101).below("/emea/q4").accepted().await;
    assert_eq!(with_key(&relay, "emea-key", 102).below("/emea/q4").send().await.status, 401);
    assert_eq!(with_key(&relay, "free-key", 103).send().await.status, 401);
    assert_eq!(relay.listed(&["events", "show", &id]).await[0]["account"], "new");
    // Under another path altogether a right key is told so, wherever it is accepted.
    assert_eq!(with_key(&relay, "apac-key", 104).path("/elsewhere").send().await.status, 421);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_key_at_a_wrong_path_is_no_way_around_the_limit_of_guesses() {
    let receiver = Receiver::start().await;
    let keys = "[{ name: emea, key: emea-key, path: emea }, { name: free, key: free-key }]";
    let relay = Setup::new(file(keys, &rules(&receiver))).seen_by(&receiver).start().await;
    eventually("the address is limited", async || (with_key(&relay, "guess", 1).send().await.status == 429).then_some(())).await;
    assert_eq!(with_key(&relay, "emea-key", 2).send().await.status, 429, "as a wrong key is");
    with_key(&relay, "emea-key", 3).below("/emea").accepted().await;
    with_key(&relay, "free-key", 4).accepted().await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_and_tests_play_an_account() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let rest = "destinations:
  emea: { url: https://emea.example.com, body: { account: \"{{ event.account }}\" } }
  rest: { url: https://rest.example.com, body: { account: \"{{ event.account | default('none') }}\" } }
routes:
  - { name: emea, when: event.account == 'emea', to: [emea] }
  - { name: rest, when: not (event.account == 'emea'), to: [rest] }
tests:
  - { name: of emea, payload: {}, event: { account: emea }, expect: { emea: { body: { account: emea } } } }
  - { name: of nobody, payload: {}, expect: { rest: { body: { account: none } } } }
";
    std::fs::write(path("routes.yaml"), file(KEYS, rest)).unwrap();
    std::fs::write(path("payload.json"), reveal(1)).unwrap();
    let (routes, payload) = (path("routes.yaml"), path("payload.json"));
    let tested = run_with(&["test", &routes], &[]).await;
    assert!(tested.code == Some(0), "{tested:?}");
    for (more, destination, account) in
        [(&["--account", "emea"][..], "emea", "emea"), (&["--account", "apac"], "rest", "apac"), (&[], "rest", "none")]
    {
        let explained = run_with(&[&["explain", "--config", &routes, "--json", &payload][..], more].concat(), &[]).await;
        let told: Value = serde_json::from_str(&explained.output).unwrap_or_else(|error| panic!("{error}: {explained:?}"));
        let deliveries = told["deliveries"].as_array().unwrap();
        assert_eq!(deliveries.len(), 1, "{more:?}: {told}");
        assert_eq!((&deliveries[0]["destination"], &deliveries[0]["body"]["account"]), (&json!(destination), &json!(account)), "{more:?}");
    }
    let unknown = run_with(&["explain", "--config", &routes, &payload, "--account", "latam"], &[]).await;
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.error.contains("--account latam: there is no such account; the rules name emea, apac"), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_there_is_not_is_an_error_with_what_was_meant_and_one_that_there_was_is_none() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::new(file(KEYS, &rules(&receiver))).seen_by(&receiver).start().await;
    with_key(&relay, "apac-key", 1).accepted().await;
    for command in [&["events"][..], &["deliveries"], &["redrive", "--dry-run"], &["events", "--follow"]] {
        let ran = relay.ask(&[command, &["--account", "emae"]].concat()).await;
        ran.assert_refused(1, &["there is no account `emae`; did you mean `emea`?", "`apac`"]);
    }
    assert_eq!(relay.listed(&["events", "--account", "emea"]).await.len(), 0, "it has sent nothing yet");
    // Its key has left the file, and what it sent is still there.
    relay.write_rules(file(&KEYS.replace("{ name: apac, key: apac-key }, ", ""), &rules(&receiver)));
    relay.reloaded().await;
    assert_eq!(relay.listed(&["events", "--account", "apac"]).await.len(), 1);
    relay.kill_quietly();
}
