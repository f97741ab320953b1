//! `explain` and `test`: what they say is what the relay does.

use serde_json::{Map, Value, json};

use crate::harness::{API_KEY, Receiver, Setup, binary, reveal, run, run_with};

const RULES: &str = "
source: { path: /webhooks/wiza, api_keys: ['${WIZA_API_KEY}'] }
destinations:
  crm:
    url: ${CRM_URL}/contacts/{{ data.id }}
    method: PUT
    headers: { authorization: 'Bearer ${CRM_TOKEN}', x-short: '${SHORT}' }
    body: { id: $.data.id, campaign: '{{ event.query.campaign }}', via: '{{ event.route }}', echo: 'key ${CRM_TOKEN}', path: '{{ event.path }}' }
  chat: { url: '${CHAT_URL}', body: 'number {{ data.id }}' }
  attic: { url: '${CHAT_URL}/attic' }
routes:
  - { name: small, when: data.id < 10 and event.path == \"emea\", to: [crm] }
  - { name: tried out, shadow: true, when: data.id, to: [attic] }
  - { name: chatty, to: [chat], stop: true }
  - { name: never reached, when: data.id == 3, to: [attic] }
tests:
  - { name: small ones, payload: seven.json, event: { path: emea, query: { campaign: q 4 } }, routes: [small, tried out, chatty],
      expect: { crm: { route: small, body_contains: { campaign: q 4, id: 7 }, url: '${CRM_URL}/contacts/7', headers: { authorization: 'Bearer ${CRM_TOKEN}' } }, chat: { body: number 7 } } }
  - { name: large ones, payload: { data: { id: 70 } }, expect: { chat: {} } }
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(rules: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("routes.yaml", rules);
        folder.write("seven.json", &reveal(7));
        folder
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

/// Without what differs from attempt to attempt.
fn lasting(headers: impl Iterator<Item = (String, String)>) -> Map<String, Value> {
    let passing = [
        "webhook-id",
        "idempotency-key",
        "webhook-timestamp",
        "traceparent",
        "host",
        "content-length",
        "accept",
        "connection",
        "transfer-encoding",
    ];
    headers.filter(|(name, _)| !passing.contains(&name.as_str())).map(|(name, value)| (name, Value::String(value))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_what_would_be_sent_and_hides_the_secrets() {
    let receiver = Receiver::start().await;
    let folder = Folder::new(RULES);
    let environment = [
        ("WIZA_API_KEY", API_KEY),
        ("CRM_URL", &*receiver.url("/crm")),
        ("CHAT_URL", &*receiver.url("/chat/s3cret")),
        ("CRM_TOKEN", "s3cret-token"),
        ("SHORT", "xyz"),
    ];
    let (rules, payload) = (folder.path("routes.yaml"), folder.path("seven.json"));
    let arguments = ["explain", "--config", &rules, &payload, "--path", "/emea", "--query", "campaign=q+4", "--json"];
    let ran = run_with(&arguments, &environment).await;
    assert_eq!((ran.code, ran.error.as_str()), (Some(0), ""));
    let told: Value = serde_json::from_str(&ran.output).unwrap();
    for secret in ["s3cret", "xyz", &receiver.url("")] {
        assert!(!ran.output.contains(secret), "{secret} is shown: {}", ran.output);
    }
    let mut setup = Setup::new("").seen_by(&receiver);
    for (name, value) in environment {
        setup = setup.env(name, value);
    }
    let relay = setup.with_whole_file(RULES).start().await;
    relay.webhook(reveal(7)).below("/emea?campaign=q+4").accepted().await;
    relay.finish().await;

    let sent = receiver.requests();
    assert_eq!((sent.len(), told["deliveries"].as_array().unwrap().len()), (2, 2), "{told}");
    for delivery in told["deliveries"].as_array().unwrap() {
        let destination = delivery["destination"].as_str().unwrap();
        let request = sent.iter().find(|request| request.webhook_id().ends_with(destination)).unwrap();
        assert_eq!(delivery["method"], request.method, "{destination}");
        let url =
            receiver.url(&request.path).replace(&receiver.url("/crm"), "${CRM_URL}").replace(&receiver.url("/chat/s3cret"), "${CHAT_URL}");
        assert_eq!(delivery["url"], url);
        let mask = |text: &str| text.replace("s3cret-token", "${CRM_TOKEN}");
        let sent_headers = lasting(request.headers.iter().map(|(name, value)| {
            let value = if value == "xyz" { "(holds a secret)".to_owned() } else { mask(value) };
            (name.clone(), value)
        }));
        let told_headers = delivery["headers"].as_object().unwrap().iter();
        let told_headers = lasting(told_headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())));
        assert_eq!(told_headers, sent_headers, "{destination}");
        let body = mask(&String::from_utf8(request.body.clone()).unwrap());
        assert_eq!(delivery["body"], serde_json::from_str(&body).unwrap_or(Value::String(body)), "{destination}");
        assert_eq!(delivery["error"], Value::Null);
    }
    let names: Vec<_> =
        told["routes"].as_array().unwrap().iter().map(|route| (&route["name"], &route["matched"], &route["shadow"])).collect();
    let (yes, no) = (&json!(true), &json!(false));
    assert_eq!(
        names,
        [(&json!("small"), yes, no), (&json!("tried out"), yes, yes), (&json!("chatty"), yes, no), (&json!("never reached"), no, no)]
    );
    assert_eq!(told["routes"][3]["skipped_by"], "chatty");
    assert_eq!(told["unmatched"], false);
    let why = json!([
        { "condition": "data.id < 10", "path": "data.id", "value": 7, "holds": true },
        { "condition": "event.path == \"emea\"", "path": "event.path", "value": "emea", "holds": true },
    ]);
    assert_eq!(told["routes"][0]["why"], why);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_why_and_needs_no_secrets() {
    let folder = Folder::new(RULES);
    let (rules, payload) = (folder.path("routes.yaml"), folder.path("seven.json"));
    let ran = run(&["explain", "--config", &rules, &payload, "--path", "emea"]).await;
    // The query lacks a campaign, so one of the requests would be a dead letter.
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.error.contains("CHAT_URL, CRM_TOKEN, CRM_URL, SHORT, WIZA_API_KEY"), "{}", ran.error);
    for line in [
        "match  small",
        "yes  data.id < 10          data.id is 7",
        "yes  event.path == \"emea\"  event.path is \"emea\"",
        "match  tried out (shadow: counted, never sent)",
        "yes  data.id  it is 7",
        "match  chatty (always: it has no `when`)",
        "skip   never reached (`chatty` matched before it and stops the walk)",
        "POST ${CHAT_URL}\n",
        "cannot be rendered: body.campaign: ",
        "event.query.campaign",
    ] {
        assert!(ran.output.contains(line), "`{line}` is not in\n{}", ran.output);
    }
    assert!(!ran.output.contains('\u{1b}'), "no colour in a pipe");
    let other = folder.write("other.json", r#"{"data": {}}"#);
    let ran = run(&["explain", "--config", &rules, &other]).await;
    assert!(ran.output.contains("no     small") && ran.output.contains("data.id is not there"), "{}", ran.output);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_what_present_leaves_out_and_why() {
    let folder = Folder::new(
        "
source: { path: /webhooks/wiza, api_keys: [key] }
destinations:
  crm:
    url: 'https://crm.example.com'
    body: { id: $.data.id, phone: { $present: $.data.phone }, note: { $present: 'by {{ data.nobody }}' } }
routes: [{ name: all, to: [crm] }]
",
    );
    let payload = folder.write("null.json", r#"{"data": {"id": 5, "phone": null}}"#);
    let ran = run(&["explain", "--config", &folder.path("routes.yaml"), &payload]).await;
    for line in ["body.phone is left out: the value is null", "body.note is left out: `data.nobody` is not in this event"] {
        assert!(ran.code == Some(0) && ran.output.contains(line), "`{line}` is not in {ran:?}");
    }
    let ran = run(&["explain", "--config", &folder.path("routes.yaml"), &payload, "--json"]).await;
    let told: Value = serde_json::from_str(&ran.output).unwrap();
    assert_eq!(told["deliveries"][0]["body"], json!({"id": 5}));
    assert_eq!(told["deliveries"][0]["left_out"][0], json!({"place": "body.phone", "why": "the value is null"}));
}

/// A mistake in each part of a request.
const FAILING: &str = "
source: { path: /webhooks/wiza, api_keys: ['${WIZA_API_KEY}'] }
destinations:
  crm:
    url: '${CRM_URL}/{{ data.no_url }}'
    headers: { x-a: '{{ data.no_header }}', x-b: fine }
    body:
      fine: $.data.id
      first: '{{ data.no_first }}'
      deep: { list: [1, '{{ data.no_second }}', { third: '{{ data.no_third }}' }] }
routes:
  - { name: all, to: [crm] }
";

#[tokio::test(flavor = "multi_thread")]
async fn explain_names_all_that_fails_and_so_does_the_dead_letter() {
    let receiver = Receiver::start().await;
    let folder = Folder::new(FAILING);
    let (file, payload) = (folder.path("routes.yaml"), folder.path("seven.json"));
    let environment = [("WIZA_API_KEY", API_KEY), ("CRM_URL", &*receiver.url("/crm"))];
    let places = ["url", "headers.x-a", "body.first", "body.deep.list[1]", "body.deep.list[2].third"];

    let ran = run_with(&["explain", &file, &payload], &environment).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let told: Vec<&str> = ran.output.lines().filter_map(|line| line.trim().strip_prefix("cannot be rendered: ")).collect();
    assert_eq!(told.iter().map(|line| line.split(": ").next().unwrap()).collect::<Vec<_>>(), places, "{}", ran.output);

    let ran = run_with(&["explain", &file, &payload, "--json"], &environment).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let json: Value = serde_json::from_str(&ran.output).unwrap();
    let error = json["deliveries"][0]["error"].as_str().unwrap();
    assert_eq!(error, told.join("; also "));

    let mut setup = Setup::new("").seen_by(&receiver);
    for (name, value) in environment {
        setup = setup.env(name, value);
    }
    let relay = setup.with_whole_file(FAILING).start().await;
    let id = relay.webhook(reveal(7)).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    let reason = relay.stored().delivery(&id).last_error.unwrap();
    assert!(reason.ends_with(error), "{reason} is not\n{error}");
    relay.finish().await;
    assert_eq!(receiver.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_failures_the_first_ten_are_told() {
    let fields: String = (0..25).map(|number| format!("      f{number}: '{{{{ data.no_{number} }}}}'\n")).collect();
    let folder = Folder::new(&FAILING.replace("      fine: $.data.id\n", &fields));
    let ran = run(&["explain", &folder.path("routes.yaml"), &folder.path("seven.json"), "--json"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let json: Value = serde_json::from_str(&ran.output).unwrap();
    let error = json["deliveries"][0]["error"].as_str().unwrap();
    assert_eq!((error.matches("; also ").count(), error.contains("body.f7:"), error.contains("body.f8:")), (9, true, false), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_of_each_term_whether_it_helps() {
    let rules = RULES.replace(
        "when: data.id == 3",
        "when: 'not data.gone and not (data.id in [1,  2] or search(data.name, \"^A\")) and \
         data.emails[?@.email_type == \"personal\" && @.email_status == \"valid\"]'",
    );
    let folder = Folder::new(&rules.replace("stop: true", "stop: false"));
    let payload = folder.write("ada.json", r#"{"data":{"id":7,"name":"Ada"}}"#);
    let ran = run(&["explain", "--config", &folder.path("routes.yaml"), &payload]).await;
    let at = ran.output.find("no     never reached").unwrap_or_else(|| panic!("{}", ran.output));
    let shown: Vec<&str> = ran.output[at..].lines().take(6).collect();
    assert_eq!(
        shown[..4],
        [
            "no     never reached",
            "         yes  not data.gone                it is not there",
            "         yes  not (data.id in [1, 2])      data.id is 7",
            "         no   not search(data.name, \"^A\")  data.name is \"Ada\"",
        ]
    );
    // Long terms have what was found below them.
    assert_eq!(shown[4], "         no   data.emails[?@.email_type == \"personal\" && @.email_status == \"valid\"]");
    assert_eq!(shown[5].trim(), "it is not there");
    let ran = run(&["explain", "--config", &folder.path("routes.yaml"), &payload, "--json"]).await;
    let told: Value = serde_json::from_str(&ran.output).unwrap();
    let why = &told["routes"][3]["why"];
    assert_eq!(why[1], json!({ "condition": "data.id in [1,  2]", "path": "data.id", "value": 7, "holds": false, "negated": true }));
    assert!(why[3].get("negated").is_none(), "{why}");
}

/// `script` (util-linux) gives a command a terminal.
#[test]
fn colour_is_for_terminals() {
    if std::process::Command::new("script").arg("--version").output().is_err() {
        println!("SKIPPED: there is no `script` to give a command a terminal");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "SKIPPED: `script` is missing");
        return;
    }
    let folder = Folder::new(RULES);
    let relay = binary().display().to_string();
    let (rules, payload) = (folder.path("routes.yaml"), folder.path("seven.json"));
    for command in [format!("'{relay}' explain --config '{rules}' '{payload}'"), format!("'{relay}' test '{rules}'")] {
        let on_a_terminal = |no_colour: Option<&str>| {
            let mut script = std::process::Command::new("script");
            script.args(["-qec", &command, "/dev/null"]).stdin(std::process::Stdio::null()).env_remove("NO_COLOR");
            script.envs(no_colour.map(|value| ("NO_COLOR", value)));
            String::from_utf8(script.output().unwrap().stdout).unwrap()
        };
        let shown = on_a_terminal(None);
        assert!(shown.contains("\u{1b}[32m"), "{shown}");
        let shown = on_a_terminal(Some("1"));
        assert!(shown.contains("small") && !shown.contains('\u{1b}'), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_refuses_what_is_no_event_or_no_file() {
    let folder = Folder::new(RULES);
    let rules = folder.path("routes.yaml");
    let list = folder.write("list.json", "[]");
    run(&["explain", "--config", &rules, &list]).await.assert_refused(2, &["list.json", "it is an array and not an object", "quarantine"]);
    let broken = folder.write("broken.json", "{\"a\":");
    run(&["explain", "--config", &rules, &broken])
        .await
        .assert_refused(2, &["broken.json is not an event: it is not valid JSON: it ends in the middle of a value, at line 1, column 6"]);
    run(&["explain", &rules]).await.assert_refused(
        2,
        &["routes.yaml is not an event: it is not valid JSON: a value is expected", "`explain routes.yaml payload.json`"],
    );
    run(&["explain", "--config", &rules, &folder.path("none.json")]).await.assert_refused(2, &["none.json", "No such file"]);
    let bad = folder.write("bad.yaml", &RULES.replace("data.id < 10", "data.id <"));
    run(&["explain", "--config", &bad, &list]).await.assert_refused(1, &["bad.yaml:12:", "^", "1 error"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_pass_or_show_the_difference() {
    let folder = Folder::new(RULES);
    let rules = folder.path("routes.yaml");
    let ran = run(&["test", &rules]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.output.contains("ok    small ones") && ran.output.contains("2 passed, 0 failed"), "{}", ran.output);

    let more = "tests:\n  - { name: wrong, payload: seven.json, expect: { chat: { body: number 8 }, attic: {} } }\n";
    let path = folder.write("more.test.yaml", more);
    let report = folder.path("report.xml");
    let ran = run(&["test", &rules, "--junit", &report]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for line in [
        "FAIL  wrong",
        &format!("({path}:2)"),
        "chat: body\n          - \"number 8\"\n          + \"number 7\"",
        "attic\n          - a request\n          + (nothing)",
        "2 passed, 1 failed",
    ] {
        assert!(ran.output.contains(line), "`{line}` is not in\n{}", ran.output);
    }
    let xml = std::fs::read_to_string(&report).unwrap();
    for part in ["tests=\"3\"", "failures=\"1\"", "name=\"wrong\"", "number 8", "line=\"2\""] {
        assert!(xml.contains(part), "`{part}` is not in\n{xml}");
    }
    let ran = run(&["test", &rules, "--json"]).await;
    let told: Value = serde_json::from_str(&ran.output).unwrap();
    assert_eq!((ran.code, &told["passed"], &told["failed"]), (Some(1), &json!(2), &json!(1)));
    assert_eq!(
        (&told["cases"][0], &told["cases"][2]["passed"]),
        (&json!({"name": "small ones", "passed": true, "diff": null}), &json!(false))
    );
    assert!(told["cases"][2]["diff"].as_str().unwrap().contains("number 8"), "{told}");
    let ran = run(&["test", &rules, "--only", "large"]).await;
    assert!(ran.code == Some(0) && ran.output.contains("1 passed, 0 failed"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_a_test_has_its_place() {
    let folder = Folder::new(RULES);
    let rules = folder.path("routes.yaml");
    folder.write(
        "typo.test.yaml",
        "tests:\n  - name: t\n    payload: seven.json\n    expect: { chatt: {}, chat: { boddy: x, route: chaty } }\n",
    );
    let ran = run(&["test", &rules]).await;
    ran.assert_refused(
        1,
        &["typo.test.yaml:4:15", "`chatt`", "did you mean `chat`?", "`boddy`", "did you mean `body`?", "typo.test.yaml has "],
    );
    folder.write("typo.test.yaml", "tests: [{ name: gone, payload: gone.json, expect: {} }]");
    let ran = run(&["test", &rules]).await;
    assert!(ran.code == Some(1) && ran.output.contains("gone.json: No such file"), "{ran:?}");
    assert!(ran.output.contains(&format!("FAIL  gone  ({}:1)", folder.path("typo.test.yaml"))), "{}", ran.output);
    let report = folder.path("report.xml");
    run(&["test", &rules, "--junit", &report]).await;
    let xml = std::fs::read_to_string(&report).unwrap();
    assert!(xml.contains("errors=\"1\"") && xml.contains("<error message=\"cannot read "), "{xml}");
    let none = folder.write("none.yaml", &RULES[..RULES.find("tests:").unwrap()]);
    std::fs::remove_file(folder.path("typo.test.yaml")).unwrap();
    run(&["test", &none]).await.assert_refused(1, &["holds no `tests`"]);
}
