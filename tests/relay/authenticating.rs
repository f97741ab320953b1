//! `sign` and `auth`: signatures that foreign libraries verify, and basic credentials. Tokens are in `tokens.rs`.

use std::path::Path;
use std::process::Command;

use crate::harness::{Receiver, Setup, one_destination, reveal, run_with, skipped};

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_b3RoZXItc2VjcmV0LW9mLXRoaXJ0eS10d28tYnl0ZXM=";
const STRANGE: &str = "whsec_c3RyYW5nZS1zZWNyZXQtb2YtdGhpcnR5LXR3by1ieXQ=";

/// Verifies with the Python library of Standard Webhooks, as a receiver would: `secret id timestamp signatures`, the body
/// on standard input.
const VERIFY: &str = "
import sys
from standardwebhooks import Webhook, WebhookVerificationError
secret, id, timestamp, signature = sys.argv[1:]
headers = {'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature}
try:
    try:
        Webhook(secret).verify(sys.stdin.buffer.read().decode(), headers)
    except ValueError:
        pass # It reads the body as JSON only once it is verified, and there may be none.
    print('genuine')
except WebhookVerificationError as error:
    print('refused:', error)
";

fn verify(python: &Path, secret: &str, id: &str, timestamp: &str, signature: &str, body: &[u8]) -> String {
    use std::io::Write as _;
    let mut child = Command::new(python)
        .args(["-c", VERIFY, secret, id, timestamp, signature])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_of_standard_webhooks_verifies_every_signature() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python");
    if !Command::new(&python).args(["-c", "import standardwebhooks"]).output().is_ok_and(|ran| ran.status.success()) {
        return skipped("the Python library standardwebhooks is not there; tests/run installs it");
    }
    let receiver = Receiver::answering([crate::harness::Answer::status(503)]).await;
    let routes = format!(
        "destinations:
  one: {{ url: '{0}', sign: {{ secret: '${{OLD}}' }} }}
  both: {{ url: '{0}', sign: {{ secrets: ['${{NEW}}', '${{OLD}}'] }}, body: {{ name: '\u{e9}{{{{ data.id }}}}' }} }}
  bare: {{ url: '{0}', method: GET, sign: {{ secret: '${{OLD}}' }} }}
  unsigned: {{ url: '{0}' }}
defaults: {{ retry: {{ first: 5ms }} }}
routes: [{{ name: all, to: [one, both, bare, unsigned] }}]",
        receiver.url("/")
    );
    let relay = Setup::new(routes).env("OLD", OLD).env("NEW", NEW).seen_by(&receiver).start().await;
    relay.webhook(reveal(7)).accepted().await;
    for request in receiver.wait_for(5).await {
        let Some(signature) = request.find_header("webhook-signature") else {
            assert!(request.webhook_id().ends_with("_unsigned"));
            continue;
        };
        let (id, timestamp) = (request.webhook_id(), request.header("webhook-timestamp"));
        let told = |secret: &str, id: &str, body: &[u8]| verify(&python, secret, id, timestamp, signature, body);
        assert_eq!(told(OLD, id, &request.body), "genuine", "{request:?}");
        let with_new = told(NEW, id, &request.body);
        assert_eq!(with_new == "genuine", id.ends_with("_both"), "{with_new}");
        for refused in [
            told(STRANGE, id, &request.body),
            told(OLD, "another", &request.body),
            told(OLD, id, &[&request.body[..], b" "].concat()),
            verify(&python, OLD, id, &(timestamp.parse::<i64>().unwrap() + 1).to_string(), signature, &request.body),
        ] {
            assert_eq!(refused, "refused: No matching signature found");
        }
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_takes_effect_while_it_runs() {
    let receiver = Receiver::start().await;
    let routes = |sign: &str| one_destination(&receiver.url("/crm"), &format!("sign: {{ {sign} }}"));
    let mut relay = Setup::new(routes(&format!("secret: {OLD}"))).seen_by(&receiver).start().await;
    let mut counts = Vec::new();
    for (number, sign) in [format!("secret: {OLD}"), format!("secrets: [{NEW}, {OLD}]"), format!("secret: {NEW}")].iter().enumerate() {
        relay.write_rules(routes(sign));
        relay.reloaded().await;
        relay.webhook(reveal(number as u64)).accepted().await;
        let requests = receiver.wait_for(number + 1).await;
        counts.push(requests[number].header("webhook-signature").split(' ').filter(|signature| signature.starts_with("v1,")).count());
    }
    assert_eq!(counts, [1, 2, 1]);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_credentials_are_sent_and_a_changed_password_takes_effect() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "open sesame\n").unwrap();
    let keys = format!("auth: {{ basic: {{ username: Aladdin, password: '${{file:{}}}' }} }}", password.display());
    let relay = Setup::to(&receiver, &keys).start().await;
    relay.webhook(reveal(1)).accepted().await;
    assert_eq!(receiver.wait_for(1).await[0].header("authorization"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    std::fs::write(&password, "open barley\n").unwrap();
    assert_eq!(relay.post("/-/reload").await.1["status"], "reloaded");
    relay.webhook(reveal(2)).accepted().await;
    assert_eq!(receiver.wait_for(2).await[1].header("authorization"), "Basic QWxhZGRpbjpvcGVuIGJhcmxleQ==");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_authorizations_the_nearer_one_counts() {
    let receiver = Receiver::start().await;
    let basic = |name: &str| format!("auth: {{ basic: {{ username: {name}, password: open sesame }} }}");
    let url = receiver.url("/");
    let routes = format!(
        "defaults: {{ {defaults} }}
destinations:
  inherits: {{ url: '{url}' }}
  own: {{ url: '{url}', {own} }}
  by-hand: {{ url: '{url}', headers: {{ Authorization: by hand }} }}
  neither: {{ url: '{url}', auth: null }}
  routed: {{ url: '{url}', {own} }}
routes:
  - {{ name: all, to: [inherits, own, by-hand, neither, {{ destination: routed, headers: {{ authorization: by the route }} }}] }}",
        defaults = basic("Aladdin"),
        own = basic("Cassim"),
    );
    let relay = Setup::new(routes).seen_by(&receiver).start().await;
    relay.webhook(reveal(1)).accepted().await;
    for request in receiver.wait_for(5).await {
        let expected = match request.webhook_id().split('_').nth(1).unwrap() {
            "inherits" => Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            "own" => Some("Basic Q2Fzc2ltOm9wZW4gc2VzYW1l"),
            "by-hand" => Some("by hand"),
            "routed" => Some("by the route"),
            _ => None,
        };
        assert_eq!(request.find_header("authorization"), expected, "{}", request.webhook_id());
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_who_the_relay_would_be_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("routes.yaml");
    let text = "
source: { path: /webhooks/wiza, api_keys: ['${API_KEY}'] }
destinations:
  signed: { url: 'https://a.example.com/', sign: { secrets: ['${SECRET}', '${SECRET_2}'] }, auth: { basic: { username: '${NAME}', password: '${PASSWORD}' } } }
  token:
    url: https://b.example.com/
    auth: { oauth2: { token_url: '${TOKEN_URL}', client_id: relay, client_secret: '${CLIENT_SECRET}' } }
    tls: { ca: /nowhere/ca.pem, cert: '${CERTIFICATES}/client.pem', key: '${CERTIFICATES}/client.key' }
    success: $.ok == true
routes: [{ name: all, to: [signed, token] }]
tests: [{ name: all of it, payload: { data: { id: 1 } }, expect: { signed: {}, token: { headers: { authorization: \"Bearer (a token of the token server's)\" } } } }]
";
    std::fs::write(&rules, text).unwrap();
    let payload = folder.path().join("payload.json");
    std::fs::write(&payload, reveal(1)).unwrap();
    let (rules, payload) = (rules.display().to_string(), payload.display().to_string());
    let secrets = [("PASSWORD", "Zq7-password"), ("SECRET", OLD), ("CLIENT_SECRET", "Zq7-client-secret"), ("NAME", "relay")];
    // With secrets, and where nobody has any.
    for environment in [&secrets[..], &[]] {
        let ran = run_with(&["explain", "--json", "--config", &rules, &payload], environment).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let told: serde_json::Value = serde_json::from_str(&ran.output).unwrap();
        let headers = |place: usize| &told["deliveries"][place]["headers"];
        assert_eq!(headers(0)["webhook-signature"], "(made anew for each attempt)");
        assert_eq!(headers(0)["authorization"], "Basic ${PASSWORD}");
        assert_eq!(headers(1)["authorization"], "Bearer (a token of the token server's)");
        assert_eq!(headers(1)["webhook-signature"], serde_json::Value::Null);
        let ran_in_words = run_with(&["explain", "--config", &rules, &payload], environment).await;
        for text in [&ran.output, &ran.error, &ran_in_words.output] {
            assert!(!text.contains("Zq7") && !text.contains("v1,") && !text.contains("WnE3"), "{text}");
        }
        let tested = run_with(&["test", &rules], environment).await;
        assert_eq!(tested.code, Some(0), "{tested:?}");
    }
}
