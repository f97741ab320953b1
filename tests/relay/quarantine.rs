//! What is in quarantine: why it is there, and how it gets out.

use serde_json::json;

use crate::harness::{API_KEY, Receiver, Relay, Setup, run_with};

const CRM: (&str, &str) = ("destination", "crm");
/// Valid JSON that versions before this one did not take.
const CUT: &str = r#"{"type":"individual_reveal","data":{"id":7,"title":"Head of Growth \ud83d"}}"#;

/// Posts what is no event, and gives its id in quarantine.
async fn quarantined(relay: &Relay, body: impl Into<Vec<u8>>) -> String {
    let reply = relay.webhook(body).send().await;
    reply.assert_problem(400, "quarantine");
    reply.json()["detail"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned()
}

/// Makes of an event in quarantine one that an older version put there.
fn by_an_older_version(relay: &Relay, id: &str, body: &str) {
    let connection = rusqlite::Connection::open(relay.store().join("relay.db")).unwrap();
    let id: uuid::Uuid = id.parse().unwrap();
    let changed = connection
        .execute(
            "UPDATE events SET body = ?, note = 'no JSON at line 1, column 70', checksum = NULL WHERE id = ? AND status = 2",
            (body.as_bytes(), id.as_bytes()),
        )
        .unwrap();
    assert_eq!(changed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listing_says_the_true_reason_and_a_release_says_it_again() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(127), "]".repeat(127));
    let reasons: [(&[u8], &str); 6] = [
        (b"[{\"name\":\"Ada\"}]", "it is an array and not an object"),
        (b"{\"name\":\"Ada\",\"revenue\":1e400}", "it has a number beyond 1.8e308, the range of a 64-bit float, at line 1, column 25"),
        (deep.as_bytes(), "it nests deeper than 127 levels, at line 1, column 132"),
        (b"{\"name\":\"Ada\"", "it is not valid JSON: it ends in the middle of a value, at line 1, column 14"),
        (b"{\"name\":\"Ada \xff\"}", "it is not valid JSON: its bytes are not UTF-8 (RFC 8259, section 8.1), at line 1, column 14"),
        (b"", "it is empty"),
    ];
    for (body, reason) in reasons {
        let id = quarantined(&relay, body).await;
        let shown = &relay.listed(&["events", "show", &id]).await[0];
        assert_eq!((&shown["status"], &shown["reason"]), (&json!("quarantined"), &json!(reason)));
        assert!(!reason.contains("Ada"));
        let refused = relay.ask(&["events", "release", &id]).await;
        refused.assert_refused(1, &[&format!("event {id} cannot be routed: {reason}; it stays in quarantine")]);
    }
    let (status, _) = relay.post("/api/events/not-an-id/release").await;
    assert_eq!(status, 400);
    let unknown = "0197a000-0000-7000-8000-000000000001";
    relay.ask(&["events", "release", unknown]).await.assert_refused(1, &["there is no event"]);
    let routed = relay.webhook("{}").accepted().await;
    relay.ask(&["events", "release", &routed]).await.assert_refused(1, &["is not in quarantine: it was routed already"]);
    assert_eq!(relay.listed(&["events", "--status", "quarantined"]).await.len(), reasons.len());
    relay.finish().await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_version_refused_is_released_by_the_rules_of_today() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").start().await;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(quarantined(&relay, format!("[{number}]")).await);
    }
    relay.webhook("{}").accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    relay.terminate().await;
    by_an_older_version(&relay, &ids[0], CUT);
    by_an_older_version(&relay, &ids[1], &CUT.replace("individual", "other"));
    let today = format!(
        "destinations:\n  crm: {{ url: \"{}\" }}\n  attic: {{ url: \"{}\" }}\nroutes:\n  - {{ name: cut, when: data.title == \"Head of Growth \u{fffd}\" and type == \"individual_reveal\", to: [crm, attic] }}\n",
        receiver.url("/crm"),
        receiver.url("/attic")
    );
    relay.start_again_with(today).await;
    // Several at once; those that cannot be released do not hold up the others.
    let ran = relay.ask(&["events", "release", &ids[0], &ids[2], &ids[1]]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.output.contains(&format!("{0} left quarantine by cut: {0}_crm, {0}_attic\n", ids[0])), "{ran:?}");
    assert!(ran.output.contains(&format!("{} left quarantine; no route took it\n", ids[1])), "{ran:?}");
    assert!(ran.error.contains("it is an array and not an object"), "{ran:?}");
    let requests = receiver.wait_for(3).await;
    for (name, path) in [("crm", "/crm"), ("attic", "/attic")] {
        let request = requests.iter().find(|request| request.path == path && request.body == CUT.as_bytes()).unwrap();
        assert_eq!(request.webhook_id(), format!("{}_{name}", ids[0]));
    }
    let all = relay.listed(&["events"]).await;
    let status = |id: &str| all.iter().find(|event| event["id"] == *id).unwrap()["status"].as_str().unwrap().to_owned();
    assert_eq!([0, 1, 2].map(|place: usize| status(&ids[place])), ["routed", "unmatched", "quarantined"]);
    relay.wait_for_metric("deliveries_total", &[CRM, ("outcome", "delivered")], 2).await;
    assert_eq!(relay.metric("planned_total", &[CRM]).await, 2);
    assert_eq!(relay.metric("route_matches_total", &[("route", "cut")]).await, 1);
    relay.metrics().await.assert_conserved();
    relay.stored().assert_sound();
    relay.ask(&["events", "release", &ids[0]]).await.assert_refused(1, &["is not in quarantine"]);
    let log = relay.log();
    assert!(log.contains("an event was released from quarantine") && log.contains(&ids[0]), "{log}");
    // Kept by kill -9, and recognised when Wiza sends it again.
    relay.kill();
    relay.start_again().await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn releasing_is_kept_from_strangers_as_redriving_is() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").on_all_interfaces().flag("admin-token", "a-long-admin-token").start().await;
    let id = quarantined(&relay, "[1]").await;
    let url = format!("http://{}", relay.admin);
    for (token, code) in [(None, 1), (Some("another-token"), 1), (Some("a-long-admin-token"), 1)] {
        let mut environment = vec![("WIZA_RELAY_ADMIN_URL", url.as_str())];
        environment.extend(token.map(|token| ("WIZA_RELAY_ADMIN_TOKEN", token)));
        let ran = run_with(&["events", "release", &id], &environment).await;
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert_eq!(ran.error.contains("it is an array"), token == Some("a-long-admin-token"), "{ran:?}");
    }
    assert!(!relay.log().contains(API_KEY));
    relay.finish().await;
}
