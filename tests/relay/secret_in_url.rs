//! A secret that stands in a URL does not move the request: it arrives where the file says, and `check` and `explain` say the same.

use serde_json::Value;

use crate::harness::{Receiver, Setup, reveal, run_with};

/// Tokens that would lead to another host if they were put in as they are.
const TOKENS: [&str; 6] = ["evil/", "evil?x", "evil#x", "x@evil", "a:b/c", "100%/"];

fn rules(receiver: &Receiver, tokens: &Receiver) -> String {
    let at = receiver.address;
    format!(
        "source: {{ path: /webhooks/wiza, api_keys: ['test-key'] }}
destinations:
  user: {{ url: 'http://${{TOKEN}}@{at}/user' }}
  parameter: {{ url: 'http://{at}/parameter?key=${{KEY}}&v=1' }}
  whole: {{ url: '${{WHOLE}}' }}
  granted:
    url: '${{BASE}}/granted/{{{{ data.id }}}}'
    auth: {{ oauth2: {{ token_url: 'http://{}/token?tenant=${{KEY}}', client_id: relay, client_secret: s3cret }} }}
routes: [{{ name: all, to: [user, parameter, whole, granted] }}]
",
        tokens.address
    )
}

/// The user and the password of HTTP Basic.
fn basic(authorization: &str) -> String {
    use base64::Engine as _;
    let encoded = authorization.strip_prefix("Basic ").unwrap_or_else(|| panic!("{authorization}"));
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_arrives_where_the_file_says_with_the_secret_in_its_place() {
    let receiver = Receiver::start().await;
    let elsewhere = Receiver::start().await;
    let tokens = Receiver::scripted(|_, _| crate::harness::Answer::status(200).body(r#"{"access_token":"t","token_type":"Bearer"}"#)).await;
    for token in TOKENS {
        // As the issue has it: the other host is a real one, with its port.
        let token = token.replace("evil", &elsewhere.address.to_string());
        let relay = Setup::new("")
            .with_whole_file(&rules(&receiver, &tokens))
            .seen_by(&receiver)
            .env("TOKEN", &token)
            .env("KEY", "a&role=admin#b+c==")
            .env("WHOLE", &receiver.url("/services/T0/B0/x?y=z"))
            .env("BASE", &receiver.url(""))
            .start()
            .await;
        let before = receiver.count();
        relay.webhook(reveal(1)).accepted().await;
        let sent = receiver.wait_for(before + 4).await.split_off(before);
        let to = |path: &str| sent.iter().find(|request| request.path == path).unwrap_or_else(|| panic!("nothing at {path}: {sent:?}"));
        // A password that is not there is empty; `100%` is no percent-encoding and stays as it is.
        let expected = if token.contains(':') { token.clone() } else { format!("{token}:") };
        assert_eq!(basic(to("/user").header("authorization")), expected);
        assert_eq!(to("/parameter").query, "key=a%26role%3Dadmin%23b%2Bc%3D%3D&v=1");
        assert_eq!(to("/services/T0/B0/x").query, "y=z");
        assert_eq!(to("/granted/1").header("authorization"), "Bearer t");
        assert_eq!(tokens.requests().last().unwrap().query, "tenant=a%26role%3Dadmin%23b%2Bc%3D%3D");
        relay.finish().await;
    }
    assert_eq!(elsewhere.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_the_host_that_is_connected_to_and_no_form_of_the_secret() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (rules_file, payload) = (folder.path().join("routes.yaml"), folder.path().join("payload.json"));
    std::fs::write(&rules_file, rules(&receiver, &receiver)).unwrap();
    std::fs::write(&payload, reveal(1)).unwrap();
    let arguments = ["explain", "--json", "--config", rules_file.to_str().unwrap(), payload.to_str().unwrap()];
    let environment =
        [("TOKEN", "evil.example/s3cret!"), ("KEY", "s3cret&#"), ("WHOLE", "https://h.example/s3cret"), ("BASE", "http://h.example")];
    let ran = run_with(&arguments, &environment).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told: Value = serde_json::from_str(&ran.output).unwrap();
    let urls: Vec<&str> = told["deliveries"].as_array().unwrap().iter().map(|delivery| delivery["url"].as_str().unwrap()).collect();
    let at = receiver.address;
    let expected = [
        format!("http://${{TOKEN}}@{at}/user"),
        format!("http://{at}/parameter?key=${{KEY}}&v=1"),
        "${WHOLE}".to_owned(),
        "${BASE}/granted/1".to_owned(),
    ];
    assert_eq!(urls, expected);
    assert!(!ran.output.contains("s3cret"), "{}", ran.output);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_refuses_a_value_that_would_move_the_request_and_does_not_show_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.yaml");
    for url in [
        "https://${TOKEN}.example.com/",
        "https://api.example.com${TOKEN}",
        "https://api.example.com:${TOKEN}/",
        "https://api.example.com/${TOKEN}/x",
    ] {
        let text = format!(
            "source: {{ path: /w, api_keys: ['test-key'] }}\ndestinations: {{ a: {{ url: '{url}' }} }}\nroutes: [{{ name: all, to: [a] }}]\n"
        );
        std::fs::write(&file, text).unwrap();
        let ran = run_with(&["check", file.to_str().unwrap()], &[("TOKEN", "x@s3cret.example?")]).await;
        assert_eq!(ran.code, Some(1), "{url}: {ran:?}");
        let said = format!("{}{}", ran.output, ran.error);
        assert!(said.contains("`${TOKEN}`") && !said.contains("s3cret"), "{said}");
    }
}
