//! `preset`: each against a receiver that answers as the vendor documents it, and what `preset show` prints against the preset.

use serde_json::{Value, json};

use crate::harness::{Answer, Receiver, Relay, Setup, run, run_with};

const NAMES: [&str; 4] = ["hubspot-upsert", "pipedrive-person", "salesforce-upsert", "slack"];

fn person(id: u64, email: &str) -> String {
    json!({ "status": { "code": 200 }, "type": "individual_reveal", "data": { "id": id, "status": "finished", "is_complete": true,
        "name": "Ada <b> King Lovelace", "title": "Analyst", "company": "Example & Co", "email": email, "email_type": "work",
        "email_status": "valid", "mobile_phone": "+4915100000", "linkedin_profile_url": "https://www.linkedin.com/in/ada" } })
    .to_string()
}

/// One destination `there` with this preset and these keys, tried again at once.
async fn relay(receiver: &Receiver, preset: &str, keys: &str) -> Relay {
    let url = receiver.url("/there");
    let again = "retry: { first: 1ms, max: 20ms }, rate_limit: 1000/s";
    let there = format!("crm: {{ preset: {preset}, url: '{url}', {again}, {keys} }}");
    Setup::new(format!("destinations: {{ {there} }}\nroutes: [{{ name: all, to: [crm] }}]\n")).seen_by(receiver).start().await
}

/// Ends a relay whose receiver saw batches, not single deliveries by which `finish` would know them.
async fn end_of_batches(mut relay: Relay, delivered: u64) {
    relay.wait_for_outcome("delivered", delivered).await;
    relay.metrics().await.assert_conserved();
    assert_eq!(relay.terminate().await.code(), Some(0));
    relay.assert_balanced().await;
    assert!(!relay.log().contains("panicked"), "{}", relay.log());
}

fn body(receiver: &Receiver, place: usize) -> Value {
    serde_json::from_slice(&receiver.requests()[place].body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn hubspot_gets_inputs_and_a_207_is_sent_again() {
    // What HubSpot says where it took one of two.
    let partly = r#"{"status":"COMPLETE","results":[{"id":"1","new":true}],"numErrors":1,"errors":[{"status":"error","category":"VALIDATION_ERROR"}]}"#;
    let wholly = r#"{"status":"COMPLETE","results":[{"id":"1","new":false},{"id":"2","new":true}]}"#;
    let receiver =
        Receiver::scripted(move |_, number| if number == 0 { Answer::status(207).body(partly) } else { Answer::status(200).body(wholly) })
            .await;
    let relay = relay(&receiver, "hubspot-upsert", "batch: { every: 300ms }, headers: { authorization: Bearer x }").await;
    relay.webhook(person(1, "ada@example.com")).accepted().await;
    relay.webhook(person(2, "eva@example.com")).accepted().await;
    end_of_batches(relay, 2).await;
    let expected = json!({ "idProperty": "email", "id": "ada@example.com", "properties": { "email": "ada@example.com", "firstname": "Ada",
        "lastname": "<b> King Lovelace", "jobtitle": "Analyst", "company": "Example & Co", "phone": "+4915100000",
        "hs_linkedin_url": "https://www.linkedin.com/in/ada" } });
    assert_eq!(body(&receiver, 0)["inputs"][0], expected);
    assert_eq!(receiver.requests()[0].header("authorization"), "Bearer x");
    assert!(receiver.count() >= 2, "the 207 was not taken for a success");
}

#[tokio::test(flavor = "multi_thread")]
async fn salesforce_gets_records_and_one_that_failed_within_a_200_is_sent_again() {
    let failed = r#"[{"id":"003A","success":true,"errors":[],"created":true},{"success":false,"errors":[{"statusCode":"UNABLE_TO_LOCK_ROW","message":"unable to obtain exclusive access to this record","fields":[]}]}]"#;
    let fine = r#"[{"id":"003A","success":true,"errors":[],"created":false},{"id":"003B","success":true,"errors":[],"created":true}]"#;
    let receiver = Receiver::scripted(move |_, number| Answer::status(200).body(if number == 0 { failed } else { fine })).await;
    let relay =
        relay(&receiver, "salesforce-upsert", "batch: { every: 300ms }, auth: { basic: { username: u, password: secret-p } }").await;
    relay.webhook(person(1, "ada@example.com")).accepted().await;
    relay.webhook(person(2, "eva@example.com")).accepted().await;
    end_of_batches(relay, 2).await;
    let sent = body(&receiver, 0);
    let expected = json!({ "attributes": { "type": "Contact" }, "Wiza_Email__c": "ada@example.com", "Email": "ada@example.com",
        "LastName": "Ada <b> King Lovelace", "Title": "Analyst", "MobilePhone": "+4915100000" });
    assert_eq!((&sent["allOrNone"], &sent["records"][0]), (&json!(false), &expected));
    assert_eq!(receiver.requests()[0].method, "PATCH");
    assert!(receiver.count() >= 2, "a record that failed was not taken for a success");
}

/// Wiza sends null where it found nothing, and leaves keys out; a CRM would empty its fields for a null or an empty text.
#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_empties_no_field_of_a_crm() {
    let bare = |id: u64| {
        json!({ "status": { "code": 200 }, "type": "individual_reveal", "data": { "id": id, "status": "finished", "name": "Ada", "title": null,
            "company": "", "email": "ada@example.com", "email_type": "work", "email_status": "valid", "mobile_phone": null } })
        .to_string()
    };
    for (preset, list, expected) in [
        (
            "hubspot-upsert",
            "inputs",
            json!({ "idProperty": "email", "id": "ada@example.com", "properties": { "email": "ada@example.com", "firstname": "Ada" } }),
        ),
        (
            "salesforce-upsert",
            "records",
            json!({ "attributes": { "type": "Contact" }, "Wiza_Email__c": "ada@example.com", "Email": "ada@example.com", "LastName": "Ada" }),
        ),
    ] {
        let receiver = Receiver::always(Answer::status(200).body(if list == "inputs" { "{}" } else { r#"[{"success":true}]"# })).await;
        let relay = relay(&receiver, preset, "batch: { every: 10ms }, headers: { authorization: Bearer x }").await;
        relay.webhook(bare(1)).accepted().await;
        end_of_batches(relay, 1).await;
        assert_eq!(body(&receiver, 0)[list], json!([expected]), "{preset}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipedrive_gets_a_person_and_its_no_counts() {
    let no = r#"{"success":false,"error":"Service is temporarily unavailable"}"#;
    let yes = r#"{"success":true,"data":{"id":1}}"#;
    let receiver = Receiver::scripted(move |_, number| match number {
        0 => Answer::status(429),
        1 => Answer::status(200).body(no),
        _ => Answer::status(201).body(yes),
    })
    .await;
    let relay = relay(&receiver, "pipedrive-person", "headers: { x-api-token: t0ken }").await;
    relay.webhook(person(1, "ada@example.com")).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    relay.finish().await;
    let expected = json!({ "name": "Ada <b> King Lovelace", "emails": [{ "value": "ada@example.com", "primary": true, "label": "work" }] });
    assert_eq!((body(&receiver, 2), receiver.count()), (expected, 3));
    assert_eq!(receiver.requests()[2].header("x-api-token"), "t0ken");
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_gets_a_message_and_what_it_refuses_is_dead_at_once() {
    let receiver = Receiver::scripted(|_, number| match number {
        0 => Answer::status(429).header("retry-after", "0"),
        1 | 2 => Answer::status(200).body("ok"),
        _ => Answer::status(400).body("invalid_payload"),
    })
    .await;
    let relay = relay(&receiver, "slack", "").await;
    relay.webhook(person(1, "ada@example.com")).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    let failed = json!({ "status": { "code": 400 }, "type": "individual_reveal", "data": { "id": 7, "status": "failed", "fail_error": "no_match" } });
    relay.webhook(failed.to_string()).accepted().await;
    relay.wait_for_outcome("delivered", 2).await;
    relay.webhook(person(3, "eva@example.com")).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    relay.finish().await;
    let text = |place: usize| body(&receiver, place)["text"].as_str().unwrap().to_owned();
    assert_eq!(text(1), ":bust_in_silhouette: Ada &lt;b&gt; King Lovelace, Analyst at Example &amp; Co: e-mail valid");
    assert_eq!(text(2), ":warning: Reveal 7 failed: no_match");
}

/// What is printed can be pasted: `explain` says the same of both, and `check` finds nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_says_what_the_preset_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("ada.json"), person(1, "ada@example.com")).unwrap();
    let listed = run(&["preset", "list"]).await.output;
    assert_eq!(listed.lines().count(), NAMES.len());
    let variables = [
        ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T0/B0/x"),
        ("HUBSPOT_TOKEN", "hub-token"),
        ("PIPEDRIVE_TOKEN", "pipe-token"),
        ("SALESFORCE_URL", "https://example.my.salesforce.com"),
        ("SALESFORCE_CLIENT_ID", "client"),
        ("SALESFORCE_CLIENT_SECRET", "client-secret"),
    ];
    for name in NAMES {
        assert!(listed.contains(name), "{listed}");
        let shown = run(&["preset", "show", name]).await.output;
        // Only what one writes oneself, and the name.
        let (heading, rest) = shown.split_once(&format!("  {name}:\n")).unwrap();
        let own = rest.split("\n\n").next().unwrap();
        let short = format!("{heading}  {name}:\n    preset: {name}\n{own}\n");
        let rest = format!(
            "source: {{ path: /w, api_keys: [test-key] }}\nroutes: [{{ name: work, when: data.email_type == \"work\" and data.email_status == \"valid\", to: [{name}] }}]\n"
        );
        let mut said = Vec::new();
        for text in [&shown, &short] {
            std::fs::write(path("routes.yaml"), format!("{rest}{text}")).unwrap();
            let checked = run_with(&["check", &path("routes.yaml")], &variables).await;
            assert!(checked.code == Some(0) && checked.output.contains("0 warnings"), "{name}: {checked:?}\n{text}");
            let explained = run_with(&["explain", "--json", "--config", &path("routes.yaml"), &path("ada.json")], &variables).await;
            let mut explained: Value = serde_json::from_str(&explained.output).unwrap_or_else(|_| panic!("{name}: {explained:?}"));
            let delivery = &mut explained["deliveries"][0];
            for header in ["webhook-id", "webhook-timestamp", "idempotency-key", "traceparent"] {
                delivery["headers"].as_object_mut().unwrap().remove(header);
            }
            said.push(delivery.to_string());
        }
        assert_eq!(said[0], said[1], "{name}");
    }
    run(&["preset", "show", "slak"]).await.assert_refused(2, &["there is no preset `slak`; did you mean `slack`?"]);
}

/// A running relay takes up another preset, and refuses one that it does not know.
#[tokio::test(flavor = "multi_thread")]
async fn a_preset_is_taken_up_by_a_reload() {
    let receiver = Receiver::start().await;
    let rules = |keys: &str| {
        format!("destinations: {{ there: {{ url: '{}', {keys} }} }}\nroutes: [{{ name: all, to: [there] }}]\n", receiver.url("/there"))
    };
    let mut relay = Setup::new(rules("method: PUT")).seen_by(&receiver).start().await;
    relay.webhook(person(1, "ada@example.com")).accepted().await;
    receiver.wait_for(1).await;
    relay.write_rules(rules("preset: slack, body: { text: 'mine {{ data.id }}' }"));
    relay.reloaded().await;
    relay.webhook(person(2, "ada@example.com")).accepted().await;
    receiver.wait_for(2).await;
    assert_eq!((receiver.requests()[1].method.to_string(), body(&receiver, 1)), ("POST".to_owned(), json!({ "text": "mine 2" })));
    relay.write_rules(rules("preset: slac"));
    let (status, problem) = relay.post("/-/reload").await;
    assert_eq!((status, &problem["findings"][0]["message"]), (422, &json!("there is no preset `slac`")));
    relay.finish().await;
}
