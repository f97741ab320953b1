//! Who may look and who may change, on the admin port; and what is told of those who do.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{API_KEY, Answer, Link, Proxy, Raw, Receiver, Relay, Setup, eventually, reveal, run, run_with};

const ADMIN: &str = "0123456789abcdef0123";
const VIEWER: &str = "fedcba9876543210fedc";

/// The lines of a log in JSON that say this.
fn lines(relay: &Relay, message: &str) -> Vec<Value> {
    let log = relay.log();
    log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(|line| line["message"] == message).collect()
}

/// Asks with a token, as somebody at this address.
async fn ask(relay: &Relay, from: [u8; 4], method: &str, path: &str, token: Option<&str>) -> (u16, http::HeaderMap, Value) {
    let client = reqwest::Client::builder().no_proxy().local_address(IpAddr::from(from)).build().unwrap();
    let mut request = client.request(method.parse().unwrap(), format!("http://{}{path}", relay.admin));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

const HERE: [u8; 4] = [127, 0, 0, 1];

#[tokio::test(flavor = "multi_thread")]
async fn the_viewer_token_looks_and_changes_nothing() {
    let crm = Receiver::start().await;
    let relay = Setup::to(&crm, "").env("WIZA_RELAY_ADMIN_TOKEN", ADMIN).env("WIZA_RELAY_VIEWER_TOKEN", VIEWER).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    for path in ["/api/events", "/api/deliveries", "/api/destinations", "/api/openapi.json", &format!("/api/events/{id}")] {
        for (token, status) in [(Some(ADMIN), 200), (Some(VIEWER), 200), (None, 401)] {
            assert_eq!(ask(&relay, HERE, "GET", path, token).await.0, status, "{path} {token:?}");
        }
    }
    for path in ["/api/destinations/crm/pause", "/api/destinations/crm/resume", "/api/deliveries/redrive", "/-/reload"] {
        let (status, _, problem) = ask(&relay, HERE, "POST", path, Some(VIEWER)).await;
        assert_eq!(status, 403, "{path}");
        assert!(problem["detail"].as_str().unwrap().contains("the viewer token may look and change nothing"), "{problem}");
    }
    assert_eq!(relay.metric("circuit_open", &[("destination", "crm")]).await, 0);
    assert_eq!(relay.metric("admin_refused_total", &[("reason", "viewer")]).await, 4);
    assert_eq!(relay.ask(&["events", "--admin-token", VIEWER]).await.code, Some(0));
    relay.ask(&["pause", "crm", "--admin-token", VIEWER]).await.assert_refused(1, &["this needs the admin token"]);
    relay.finish().await;
    run(&["serve", "--admin-token", ADMIN, "--viewer-token", ADMIN]).await.assert_refused(2, &["the viewer token is the admin token"]);
}

/// The relay's own ports are closed to destinations; what stands in between has another address.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_reaches_the_admin_port_by_a_detour_changes_nothing() {
    let crm = Receiver::start().await;
    let mut relay = Setup::to(&crm, "").start().await;
    let detour = Link::to(relay.admin).await;
    relay.write_rules(format!(
        "destinations:\n  crm: {{ url: \"{}\" }}\n  detour: {{ url: \"{}\" }}\nroutes:\n  - {{ name: all, to: [crm, detour] }}\n",
        crm.url("/crm"),
        detour.url("/api/destinations/{{ data.destination }}/pause"),
    ));
    relay.reloaded().await;
    relay.webhook(r#"{"data":{"destination":"crm"}}"#).accepted().await;
    relay.wait_for_metric("attempt_failures_total", &[("destination", "detour"), ("reason", "credentials")], 1).await;
    assert_eq!(relay.metric("circuit_open", &[("destination", "crm")]).await, 0, "crm is not paused");
    relay.wait_for_outcome("delivered", 1).await;
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_counted_and_logged_and_slowed_and_the_right_one_is_not() {
    const FLOOD: u64 = 500;
    let crm = Receiver::start().await;
    let relay = Setup::to(&crm, "").env("WIZA_RELAY_ADMIN_TOKEN", ADMIN).flag("log-format", "json").start().await;
    let guesser = Ipv4Addr::new(127, 1, 2, 3);
    let mut raw = Raw::connect_from(guesser.into(), relay.admin).await;
    let mut answers: Vec<u16> = Vec::new();
    for number in 0..FLOOD {
        raw.write(format!("GET /api/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer guess-number-{number:06}\r\n\r\n")).await;
        let reply = raw.reply().await;
        if reply.status == 429 {
            reply.assert_problem(429, "the right one is always taken");
            reply.assert_retry_after();
        }
        answers.push(reply.status);
    }
    assert_eq!(answers[..10], [401; 10]);
    assert!(answers.iter().filter(|status| **status == 429).count() > 400, "{answers:?}");
    // Who guesses may have the right one too, and others are not concerned.
    raw.write(format!("GET /api/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {ADMIN}\r\n\r\n")).await;
    assert_eq!(raw.reply().await.status, 200);
    assert_eq!(ask(&relay, [127, 1, 2, 4], "GET", "/api/events", Some("another-wrong-token")).await.0, 401);
    let metrics = relay.metrics().await;
    let count = |reason| metrics.get("admin_refused_total", &[("reason", reason)]);
    assert_eq!(count("wrong_token") + count("limited"), FLOOD + 1);
    let message = "wrong tokens were shown at the admin port; the last came from there";
    // The first at once, the others together.
    let counted = |told: &[Value]| told.iter().map(|line| line["count"].as_u64().unwrap()).sum::<u64>();
    let told = eventually("all are told of", async || Some(lines(&relay, message)).filter(|told| counted(told) == FLOOD + 1)).await;
    assert!(told[0]["from"].as_str().unwrap().starts_with("127.1.2.3:"), "{told:?}");
    assert_eq!(told[0]["count"], 1);
    assert!(told.len() < 20, "{told:?}");
    assert!(!relay.log().contains("guess-number") && !relay.log().contains(ADMIN));
    relay.finish().await;
}

/// Writes a token as Kubernetes mounts a Secret: the file is a link, and an update swaps the folder that it leads to.
fn mount(folder: &Path, number: usize, token: &str) {
    let data = format!("..2026_11_27_{number}");
    std::fs::create_dir(folder.join(&data)).unwrap();
    std::fs::write(folder.join(&data).join("token"), format!("{token}\n")).unwrap();
    symlink(&data, folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    if number == 0 {
        symlink("..data/token", folder.join("token")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_in_files_are_read_again() {
    let crm = Receiver::start().await;
    let mounted = tempfile::tempdir().unwrap();
    mount(mounted.path(), 0, ADMIN);
    let file = mounted.path().join("token").display().to_string();
    let relay = Setup::to(&crm, "").flag("admin-token-file", &file).start().await;
    let status = async |token| ask(&relay, HERE, "GET", "/api/events", Some(token)).await.0;
    assert_eq!(status(ADMIN).await, 200);
    let listed = relay.ask(&["events", "--admin-token-file", &file]).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    mount(mounted.path(), 1, "the-next-token-012345");
    eventually("the new token is taken", async || (status("the-next-token-012345").await == 200).then_some(())).await;
    assert!([401, 429].contains(&status(ADMIN).await), "the old one is not");
    let listed = relay.ask(&["events", "--admin-token-file", &file]).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    // What is no token changes nothing, and the log says why.
    mount(mounted.path(), 2, "short");
    eventually("it is told", async || relay.log().contains("a token was not replaced").then_some(())).await;
    assert_eq!(status("the-next-token-012345").await, 200);
    relay.ask(&["events", "--admin-token-file", &file]).await.assert_refused(1, &["--admin-token-file", "shorter than 16"]);
    relay.finish().await;
    for (arguments, texts) in [
        (["serve", "--admin-token-file", "/no/such/token"].as_slice(), ["--admin-token-file", "/no/such/token"]),
        (&["serve", "--viewer-token-file", "/"], ["--viewer-token-file", "it is not a file"]),
        (&["serve", "--admin-token-file", &file, "--admin-token", ADMIN], ["--admin-token-file", "leave one out"]),
    ] {
        run(arguments).await.assert_refused(2, &texts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_read_again_makes_no_admin_of_the_viewer() {
    let crm = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let files = ["admin", "viewer"].map(|name| folder.path().join(name));
    let write = |number: usize, token: &str| std::fs::write(&files[number], token).unwrap();
    write(0, ADMIN);
    write(1, VIEWER);
    let [admin, viewer] = files.each_ref().map(|file| file.display().to_string());
    let relay = Setup::to(&crm, "").flag("admin-token-file", &admin).flag("viewer-token-file", &viewer).start().await;
    let reload = async |token| ask(&relay, HERE, "POST", "/-/reload", Some(token)).await.0;
    assert_eq!((reload(ADMIN).await, reload(VIEWER).await), (200, 403));
    let told = |flag: &str| relay.log().lines().any(|line| line.contains("the viewer token is the admin token") && line.contains(flag));
    for (number, token, flag) in [(0, VIEWER, "--admin-token-file"), (1, ADMIN, "--viewer-token-file")] {
        write(number, token);
        eventually("it is told, or taken", async || (told(flag) || relay.log().contains("a token was replaced")).then_some(())).await;
        assert_eq!((reload(ADMIN).await, reload(VIEWER).await), (200, 403), "{flag}: {}", relay.log());
        write(0, ADMIN);
        write(1, VIEWER);
    }
    let log = relay.log();
    assert!(log.contains("a token was not replaced") && !log.contains(VIEWER) && !log.contains(ADMIN), "{log}");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_logged_with_who_and_from_where() {
    let crm = Receiver::answering([Answer::status(400)]).await;
    let mut relay = Setup::to(&crm, "").env("WIZA_RELAY_ADMIN_TOKEN", ADMIN).flag("log-format", "json").start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    for command in [["pause", "crm"].as_slice(), &["resume", "crm"], &["redrive", "--all", "--yes"]] {
        let ran = relay.ask(&[command, &["--admin-token", ADMIN]].concat()).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    relay.wait_for_outcome("delivered", 1).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let reload = client.post(format!("http://{}/-/reload", relay.admin)).bearer_auth(ADMIN).header("x-forwarded-for", "192.0.2.7");
    assert_eq!(reload.send().await.unwrap().status(), 200);
    relay.signal("HUP");
    eventually("SIGHUP is told", async || (lines(&relay, "the rules were reloaded").len() == 2).then_some(())).await;
    relay.write_rules("destinations: {}\nroutes: [{ name: all, to: [nobody] }]");
    let refused = "the rules were not reloaded; the old ones go on";
    eventually("the file is told of", async || (!lines(&relay, refused).is_empty()).then_some(())).await;

    let asked: Vec<Value> = lines(&relay, "a change was asked for").iter().map(|line| line["asked"].clone()).collect();
    let expected = [
        "POST /api/destinations/crm/pause",
        "POST /api/destinations/crm/resume",
        "POST /api/deliveries/redrive",
        "POST /api/deliveries/redrive",
        "POST /-/reload",
    ];
    assert_eq!(json!(asked), json!(expected));
    let mut told = lines(&relay, "a change was asked for");
    told.extend(lines(&relay, "a circuit breaker was set by hand"));
    told.extend(lines(&relay, "dead deliveries were taken up again"));
    assert_eq!(told.len(), 5 + 2 + 1, "{told:?}");
    for line in &told {
        assert_eq!(line["by"], "admin token", "{line}");
        assert!(line["from"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    }
    let reloads = lines(&relay, "the rules were reloaded");
    assert_eq!((&reloads[0]["by"], &reloads[0]["forwarded_for"]), (&json!("admin token"), &json!("192.0.2.7")));
    assert_eq!(reloads[1]["by"], "SIGHUP");
    assert_eq!(lines(&relay, refused)[0]["by"], "file change");
    assert!(!relay.log().contains(ADMIN));
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_what_was_passed_on_or_names_another_host_is_refused() {
    let crm = Receiver::start().await;
    let relay = Setup::to(&crm, "").start().await;
    let here = relay.admin.to_string();
    let port = relay.admin.port();
    for (host, header) in [
        (here.as_str(), "x-forwarded-for: 192.0.2.1"),
        (&here, "X-Forwarded-Host: relay.example.com"),
        (&here, "forwarded: for=192.0.2.1"),
        (&here, "via: 1.1 proxy"),
        (&here, "x-real-ip: 127.0.0.1"),
        (&here, "host: localhost"),
        (&here, "origin: http://evil.ex\u{e4}mple"),
        (&format!("127.0.0.1:{port}:evil.example"), "accept: */*"),
        ("[::1].evil.example", "accept: */*"),
        ("localhost@evil.example", "accept: */*"),
        ("evil.example", "accept: */*"),
    ] {
        let mut raw = Raw::connect(relay.admin).await;
        raw.write(format!("POST /api/destinations/crm/pause HTTP/1.1\r\nhost: {host}\r\n{header}\r\ncontent-length: 0\r\n\r\n")).await;
        let status = raw.reply().await.status;
        assert!([400, 403].contains(&status), "{host} {header}: {status}");
    }
    assert_eq!(relay.metric("circuit_open", &[("destination", "crm")]).await, 0);
    assert!(relay.metric("admin_refused_total", &[("reason", "foreign")]).await >= 8);
    // With a token it does not matter who passes it on.
    relay.finish().await;
    let kept = Setup::to(&crm, "").env("WIZA_RELAY_ADMIN_TOKEN", ADMIN).start().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let listed = client.get(format!("http://{}/api/events", kept.admin)).bearer_auth(ADMIN).header("x-forwarded-for", "192.0.2.1");
    assert_eq!(listed.header("host", "relay.example.com").send().await.unwrap().status(), 200);
    kept.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_of_the_admin_port_is_kept_by_a_cache_or_taken_for_another_type() {
    let crm = Receiver::start().await;
    let relay = Setup::to(&crm, "").env("WIZA_RELAY_ADMIN_TOKEN", ADMIN).start().await;
    let paths = ["/metrics", "/healthz", "/readyz", "/api/events", "/api/events/x", "/api/nothing", "/nothing", "/-/reload"];
    for path in paths {
        for token in [None, Some(ADMIN)] {
            let (status, headers, _) = ask(&relay, HERE, "GET", path, token).await;
            let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            assert_eq!((header("cache-control"), header("x-content-type-options")), ("no-store", "nosniff"), "{path}: {status}");
        }
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_goes_to_no_proxy_and_not_unencrypted_without_a_warning() {
    let crm = Receiver::start().await;
    let relay = Setup::to(&crm, "").on_all_interfaces().env("WIZA_RELAY_ADMIN_TOKEN", ADMIN).start().await;
    let proxy = Proxy::start(relay.admin, None).await;
    let through = format!("http://{}", proxy.address);
    let variables: Vec<(&str, &str)> =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"].into_iter().map(|name| (name, through.as_str())).collect();
    let url = format!("http://{}", relay.admin);
    let ran = run_with(&["events", "--admin-url", &url, "--admin-token", ADMIN], &variables).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.error.contains("unencrypted"), "on this machine nobody else sees it: {ran:?}");
    // Only a relay that is on this machine can be asked by a test, but the address does not say so.
    let url = format!("http://0.0.0.0:{}", relay.admin.port());
    let ran = run_with(&["events", "--admin-url", &url, "--admin-token", ADMIN], &variables).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.error.contains("unencrypted") && !ran.error.contains(ADMIN), "{ran:?}");
    // Nothing to be seen, nothing to be warned of.
    let ran = run_with(&["events", "--admin-url", &url], &variables).await;
    assert!(ran.code == Some(1) && !ran.error.contains("unencrypted"), "{ran:?}");
    assert_eq!(proxy.requests().len(), 0, "nothing went through the proxy");
    // Nor does the API key that `send` shows, which is a password too.
    let url = format!("http://{}/webhooks/wiza", relay.webhooks);
    let ran = run_with(&["send", "--url", &url, "--api-key", API_KEY, "--count", "1"], &variables).await;
    assert!(ran.code == Some(0) && !ran.error.contains("unencrypted"), "{ran:?}");
    let ran = run_with(&["send", "--url", "http://0.0.0.0:9/", "--api-key", API_KEY, "--count", "1"], &variables).await;
    assert!(ran.error.contains("unencrypted") && !ran.error.contains(API_KEY), "{ran:?}");
    assert_eq!(proxy.requests().len(), 0, "nothing went through the proxy");
    let ran = run(&["events", "--admin-url", "http://user:Zq7-secret@127.0.0.1:9"]).await;
    ran.assert_refused(1, &["--admin-url", "--admin-token-file"]);
    assert!(!ran.error.contains("Zq7-secret"), "{ran:?}");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_variable_says_yes_or_chooses_what_is_sent_again() {
    let crm = Receiver::answering([Answer::status(400)]).await;
    let relay = Setup::to(&crm, "").start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    let url = format!("http://{}", relay.admin);
    let variables: Vec<(&str, &str)> = [
        "WIZA_RELAY_YES",
        "WIZA_RELAY_ALL",
        "WIZA_RELAY_DRY_RUN",
        "WIZA_RELAY_JSON",
        "WIZA_RELAY_RATE",
        "WIZA_RELAY_DESTINATION",
        "WIZA_RELAY_SEARCH",
        "WIZA_RELAY_LIMIT",
    ]
    .into_iter()
    .map(|name| (name, "true"))
    .chain([("WIZA_RELAY_ADMIN_URL", url.as_str())])
    .collect();
    run_with(&["redrive"], &variables).await.assert_refused(2, &["say which"]);
    run_with(&["redrive", "--all"], &variables).await.assert_refused(2, &["nobody is there to be asked"]);
    assert_eq!(relay.metric("redriven_total", &[("destination", "crm")]).await, 0);
    let listed = run_with(&["events"], &variables).await;
    assert!(listed.code == Some(0) && listed.output.contains("ID "), "{listed:?}");
    let sent = run_with(&["redrive", "--all", "--yes"], &variables).await;
    assert_eq!(sent.code, Some(0), "{sent:?}");
    relay.wait_for_outcome("delivered", 1).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_may_follow_and_the_next_is_told() {
    const MAX: usize = 32;
    let crm = Receiver::start().await;
    let relay = Setup::to(&crm, "").start().await;
    let follow = |path: &str| reqwest::get(format!("http://{}/api/{path}/follow", relay.admin));
    let mut followers = Vec::new();
    for number in 0..MAX {
        let path = if number % 2 == 0 { "events" } else { "deliveries" };
        let response = follow(path).await.unwrap();
        assert_eq!(response.status(), 200, "{number}");
        followers.push(response);
    }
    let refused = follow("events").await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true));
    let problem: Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("32 programs follow already"), "{problem}");
    // Listings and probes are for everybody else, and who follows misses nothing.
    assert_eq!(relay.get("/readyz").await.0, 200);
    let id = relay.webhook(reveal(1)).accepted().await;
    let event: Value = serde_json::from_slice(&followers[0].chunk().await.unwrap().unwrap()).unwrap();
    assert_eq!(event["id"], json!(id));
    drop(followers);
    eventually("there is room again", async || {
        // Who has gone is noticed at the next line that is written.
        relay.webhook(reveal(u64::from(rand::random::<u32>()) + 10)).accepted().await;
        (follow("events").await.unwrap().status() == 200).then_some(())
    })
    .await;
    relay.finish().await;
}
