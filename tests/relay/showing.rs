//! What is shown of payloads and replies: nothing that a terminal obeys, no secret in any form, and no more than is to be kept.

use serde_json::{Value, json};

use crate::harness::{Answer, Receiver, Setup, run, run_with};

/// Clears the screen, sets the title, goes back, turns the direction of writing, hides.
const OBEYED: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\u{8}\u{9b}31m\r\u{7f}\u{202e}\u{2066}\u{200f}\u{61c}\u{2028}\u{feff}\u{e0041}";

fn assert_fit(what: &str, text: &str) {
    let is_unfit = |character: &char| match character {
        '\n' | '\t' => false,
        _ => character.is_control() || (!character.is_ascii() && OBEYED.contains(*character)),
    };
    let unfit: Vec<char> = text.chars().filter(is_unfit).collect();
    assert!(unfit.is_empty(), "{what} writes {unfit:?}:\n{}", text.escape_debug());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_payload_or_a_reply_is_obeyed_by_a_terminal() {
    let receiver = Receiver::always(Answer::status(422).body(format!("no {OBEYED}\nsecond line"))).await;
    let routes = format!(
        "destinations:
  crm: {{ url: '{}', body: {{ name: '{{{{ data.name }}}}' }} }}
  cut: {{ url: '{0}', body: '{{{{ data.name }}}} and {{{{ data.nothing }}}}' }}
routes:
  - {{ name: named, when: data.name != \"nobody\", to: [crm, cut] }}
",
        receiver.url("/")
    );
    let relay = Setup::new(&routes).start().await;
    let payload = json!({ "type": format!("reveal{OBEYED}"), "data": { "name": format!("Ada{OBEYED}"), "key\u{1b}[2J": 1 } });
    let id = relay.webhook(payload.to_string()).below("?a=%1b%5b2J%E2%80%AE").accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    relay.wait_for_metric("deliveries_total", &[("destination", "cut"), ("outcome", "dead")], 1).await;
    let unread = relay.webhook(format!("no JSON {OBEYED}")).send().await;
    assert_eq!(unread.status, 400);

    let delivery = format!("{id}_crm");
    for command in [
        &["events"][..],
        &["events", "--status", "quarantined"],
        &["events", "show", &id],
        &["deliveries"],
        &["deliveries", "--status", "dead"],
        &["deliveries", "show", &delivery],
        &["deliveries", "show", &format!("{id}_cut")],
        &["destinations"],
        &["events", "show", "\u{1b}[2J"],
    ] {
        let ran = relay.ask(command).await;
        assert_fit(&format!("{command:?}"), &(ran.output.clone() + &ran.error));
        if command.last().is_some_and(|last| last.contains(&id[..])) {
            assert!(ran.output.contains("\\u{202e}") || ran.output.contains("\\u202e"), "{}", ran.output);
        }
    }
    // As JSON it is the same, exactly.
    let ran = relay.ask(&["events", "show", &id, "--json"]).await;
    assert_fit("events show --json", &ran.output);
    let shown: Value = serde_json::from_str(&ran.output).unwrap();
    assert_eq!(shown["body"], payload);
    let ran = relay.ask(&["deliveries", "show", &delivery, "--json"]).await;
    assert_fit("deliveries show --json", &ran.output);
    let shown: Value = serde_json::from_str(&ran.output).unwrap();
    assert_eq!(shown["attempt_log"][0]["reply"], format!("no {OBEYED}\nsecond line"), "{shown}");
    for path in [format!("/api/events/{id}"), "/api/events".into(), format!("/api/deliveries/{delivery}"), "/api/nothing".into()] {
        assert_fit(&path, &relay.get(&path).await.1);
    }
    let raw: Value = serde_json::from_str(&relay.get(&format!("/api/events/{id}")).await.1).unwrap();
    assert_eq!(raw["body"], payload);
    let exported = run(&["export", "--store", &relay.store().display().to_string()]).await;
    assert_fit("export", &exported.output);
    assert_fit("the log", &relay.log());

    // Of files that somebody else has written.
    let folder = relay.folder();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let payload = write("payload.json", &payload.to_string());
    let rules = relay.routes_file().display().to_string();
    for more in [&[][..], &["--json"]] {
        let ran = run(&[&["explain", "--config", &rules, &payload][..], more].concat()).await;
        assert_eq!(ran.code, Some(1), "`cut` cannot be rendered: {ran:?}");
        assert!(ran.output.contains("202e"), "{}", ran.output);
        assert_fit("explain", &(ran.output + &ran.error));
    }
    let tests = "tests: [{ name: \"t\\u202e\\e[2J\", payload: payload.json, expect: { crm: { body: { name: Ada } } } }]\n";
    let tests = write("hostile.test.yaml", tests);
    for more in [&[][..], &["--json"]] {
        let ran = run(&[&["test", &rules, &tests][..], more].concat()).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.output.contains("202e"), "{}", ran.output);
        assert_fit("test", &(ran.output + &ran.error));
    }
    let report = folder.join("report.xml");
    run(&["test", &rules, &tests, "--junit", report.to_str().unwrap()]).await;
    let report = std::fs::read_to_string(&report).unwrap();
    assert!(report.contains("202e"), "{report}");
    assert_fit("test --junit", &report);
    let bad =
        write("bad.yaml", &format!("{routes}unknown\u{202e}: \"\\e[2J\u{2066}\u{feff}\"\nretention: {{ dead: \"\\e[2J\\u202e\" }}\n"));
    for more in [&[][..], &["--json"]] {
        let ran = run(&[&["check", &bad][..], more].concat()).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_fit("check", &(ran.output + &ran.error));
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_masked_in_every_form_in_which_it_comes_back() {
    const TOKEN: &str = "Zq7/t\u{f6}k+n=<\"&'>";
    let forms = [
        TOKEN,
        r#"Zq7\/t\u00f6k+n=<\"&'>"#,
        r"Zq7/t\u00F6k\u002bn\u003D\u003c\u0022\u0026\u0027\u003E",
        "Zq7%2ft%c3%b6k%2bn%3d%3c%22%26%27%3e",
        "Zq7%2Ft%C3%B6k%2Bn%3D%3C%22%26%27%3E",
        "Zq7/t\u{f6}k+n=&lt;&quot;&amp;&#39;&gt;",
        "Zq7&#x2F;t&#246;k&#x2B;n&#x3D;&lt;&#34;&amp;&#x27;&gt;",
        // `TOKEN` and `relay:TOKEN`, by another program.
        "WnE3L3TDtmsrbj08IiYnPg==",
        "cmVsYXk6WnE3L3TDtmsrbj08IiYnPg==",
    ];
    let echo: String = forms.iter().map(|form| format!("[{form}]")).collect();
    let receiver = Receiver::always(Answer::status(422).body(echo)).await;
    let relay = Setup::to(&receiver, "headers: { x-token: '${TOKEN}' }").env("TOKEN", TOKEN).start().await;
    let id = relay.webhook(r#"{"data":{"id":1}}"#).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    let reply = String::from_utf8(relay.stored().attempts(&id)[0].reply.clone().unwrap()).unwrap();
    assert_eq!(reply, "[${TOKEN}]".repeat(forms.len()));
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_replies_no_more_is_kept_than_the_destination_says() {
    for (replies, status, kept, told) in [
        ("full", Some(422), Some(&b"Zq9: no such person"[..]), "status 422: not worth repeating"),
        ("status", Some(422), Some(&b""[..]), "status 422: not worth repeating"),
        ("none", None, None, "client_error: not worth repeating"),
    ] {
        let receiver = Receiver::answering([Answer::status(503), Answer::status(422).body("Zq9: no such person")]).await;
        // Under `defaults`, and against them.
        let routes = format!(
            "defaults: {{ replies: {replies}, retry: {{ first: 1ms }} }}
destinations:
  crm: {{ url: '{0}/' }}
  other: {{ url: '{0}/', replies: full }}
routes:
  - {{ name: all, to: [crm] }}
  - {{ name: none, when: data.id == 0, to: [other] }}
",
            receiver.url("")
        );
        let relay = Setup::new(&routes).seen_by(&receiver).start().await;
        let id = relay.webhook(r#"{"data":{"id":1}}"#).accepted().await;
        relay.wait_for_outcome("dead", 1).await;
        let delivery = relay.stored().delivery(&id);
        assert_eq!((delivery.last_status, delivery.last_error.as_deref()), (status, Some(told)), "{replies}");
        let attempts = relay.stored().attempts(&id);
        assert_eq!(attempts.len(), 2, "what a reply means is not changed by what is kept of it");
        assert_eq!((attempts[1].status, attempts[1].reply.as_deref()), (status, kept), "{replies}");
        assert_eq!(attempts[0].error.as_deref(), (replies == "none").then_some("server_error"), "{replies}");
        let shown = relay.ask(&["deliveries", "show", &format!("{id}_crm")]).await.output;
        assert_eq!(shown.contains("Zq9"), replies == "full", "{shown}");
        assert_eq!(shown.contains("422"), replies != "none", "{shown}");
        assert_eq!(relay.metric("attempt_failures_total", &[("destination", "crm"), ("reason", "client_error")]).await, 1);
        receiver.become_always(Answer::status(200));
        let id = relay.webhook(r#"{"data":{"id":2}}"#).accepted().await;
        relay.wait_for_outcome("delivered", 1).await;
        assert_eq!(relay.stored().delivery(&id).last_status, (replies != "none").then_some(200), "{replies}");
        relay.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_of_the_command_line_is_shown_and_not_obeyed() {
    let ran = run_with(&["check", "no\u{1b}[2Jfile\u{202e}.yaml"], &[]).await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert_fit("check", &ran.error);
}
