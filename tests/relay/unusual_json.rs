//! JSON that RFC 8259 permits and that few expect: an authentic event reaches its destinations whatever it holds.

use serde_json::json;

use crate::harness::{API_KEY, Receiver, Setup, run};

const ROUTES: &str = r#"destinations:
  archive: { url: "URL/archive" }
  crm:
    url: "URL/crm/{{ data.id }}"
    body: { title: $.data.title, all: $.data, text: "{{ data.title }}", json: "{{ data | tojson }}" }
routes:
  - { name: everything, to: [archive] }
  - { name: cut, when: data.title == "Head of Growth �", to: [crm] }
"#;

/// What JavaScript's `slice` makes of `Head of Growth 🚀`, with an id that no 64-bit integer holds.
const CUT: &str =
    r#"{"type":"individual_reveal","data":{"id":12345678901234567890123,"title":"Head of Growth \ud83d","n\udc00":"\\ud83d"}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn half_a_surrogate_pair_is_forwarded_as_it_came_and_read_as_u_fffd() {
    let receiver = Receiver::start().await;
    let relay = Setup::new(ROUTES.replace("URL", &receiver.url(""))).seen_by(&receiver).start().await;
    // A byte-order mark is passed over, and forwarded too.
    for (number, body) in [CUT.to_owned(), format!("\u{feff}{CUT}")].into_iter().enumerate() {
        let id = relay.webhook(body.clone()).accepted().await;
        let requests = receiver.wait_for((number + 1) * 2).await;
        let to = |path: &str| requests.iter().rfind(|request| request.path.starts_with(path)).unwrap();
        assert_eq!(String::from_utf8_lossy(&to("/archive").body), body);
        let data = r#"{"id":12345678901234567890123,"title":"Head of Growth �","n�":"\\ud83d"}"#;
        let text = json!("Head of Growth �");
        assert_eq!(
            String::from_utf8_lossy(&to("/crm").body),
            format!(r#"{{"title":{text},"all":{data},"text":{text},"json":{}}}"#, serde_json::Value::from(data))
        );
        assert_eq!(to("/crm").path, "/crm/12345678901234567890123");
        let shown = &relay.listed(&["events", "show", &id]).await[0];
        assert_eq!(shown["body"]["data"].to_string(), data);
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dry_runs_read_it_as_the_relay_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let tests = "tests:\n  - { name: cut, payload: cut.json, expect: { archive: {}, crm: { body_contains: { title: \"Head of Growth \u{fffd}\", all: { id: 12345678901234567890123 } } } } }\n";
    let source = "source: { path: /webhooks/wiza, api_keys: [key] }\n";
    std::fs::write(path("routes.yaml"), format!("{source}{}{tests}", ROUTES.replace("URL", "http://127.0.0.1:1"))).unwrap();
    std::fs::write(path("cut.json"), CUT).unwrap();
    let tested = run(&["test", &path("routes.yaml")]).await;
    assert_eq!(tested.code, Some(0), "{tested:?}");
    let explained = run(&["explain", "--json", "--config", &path("routes.yaml"), &path("cut.json")]).await;
    assert_eq!(explained.code, Some(0), "{explained:?}");
    for shown in [r#""title":"Head of Growth �""#, r#""id":12345678901234567890123"#] {
        assert!(explained.output.contains(shown), "{}", explained.output);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn send_posts_a_file_as_it_is() {
    let receiver = Receiver::start().await;
    let relay = Setup::to(&receiver, "").start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cut.json");
    std::fs::write(&file, CUT).unwrap();
    let url = format!("http://{}/webhooks/wiza", relay.webhooks);
    let arguments = ["send", "--url", &url, "--api-key", API_KEY, "--sample", file.to_str().unwrap()];
    // With an id of its own it is written anew; with `--same` it is the file, byte for byte.
    for more in [&[][..], &["--same"]] {
        let ran = run(&[&arguments, more].concat()).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    relay.wait_for_outcome("delivered", 2).await;
    relay.finish().await;
    let requests = receiver.requests();
    let bodies = requests.iter().map(|request| String::from_utf8_lossy(&request.body));
    let (same, numbered): (Vec<_>, Vec<_>) = bodies.partition(|body| body == CUT);
    assert_eq!((same.len(), numbered.len()), (1, 1), "{numbered:?}");
    assert!(numbered[0].contains("\"title\":\"Head of Growth \u{fffd}\""), "{numbered:?}");
}
