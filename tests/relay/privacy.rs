//! What must be seen nowhere: personal data, and secrets.

use crate::harness::certificates::write;
use crate::harness::collector::Collector;
use crate::harness::setup::one_destination;
use crate::harness::{
    Answer, Authority, Fault, Faults, Link, Receiver, Relay, Setup, eventually, free_address, relay_as_nobody, run_with, sha256_hex,
    skipped,
};

const KEY: &str = "Zq7-api-key";
const SECRETS: [&str; 9] =
    [KEY, "Zq7-token", "Zq7-path", "Zq7-basic", "Zq7-guess", "Zq7-query", "Zq7-password", "Zq7-client", "Zq7-access"];
const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// `relay:Zq7-password`, `relay:Zq7-client`, and a signing secret without its prefix.
const ENCODED: [&str; 3] = ["cmVsYXk6WnE3LXBhc3N3b3Jk", "cmVsYXk6WnE3LWNsaWVudA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"];
/// Stand in payloads, their keys, queries and replies.
const PERSONAL: [&str; 6] =
    ["Wilhelmina Featherstonehaugh", "featherstonehaugh@private.example", "+44 7700 900123", "0031xPRIVATE", "Zq8-key", "Zq8-echo"];

fn payload(id: &str) -> String {
    format!(
        r#"{{"type":"individual_reveal","Zq8-key":1,"data":{{"id":"{id}","name":"{}","email":"{}","mobile_phone":"{}"}}}}"#,
        PERSONAL[0], PERSONAL[1], PERSONAL[2]
    )
}

/// Everything that a stranger may read: logs, metrics, health.
async fn public(relay: &Relay) -> String {
    let mut text = relay.log();
    for path in ["/metrics", "/readyz", "/healthz", "/nothing"] {
        text += &relay.get(path).await.1;
    }
    text
}

fn assert_clean(what: &str, text: &str) {
    let hashes = [sha256_hex(KEY), sha256_hex(KEY).to_uppercase(), sha256_hex("Zq7-guess")];
    for forbidden in SECRETS.into_iter().chain(ENCODED).chain(PERSONAL).chain(hashes.iter().map(String::as_str)) {
        let place = text.find(forbidden).map(|at| text[..at].lines().last().unwrap_or_default().to_owned());
        assert_eq!(place, None, "`{forbidden}` is in {what}");
    }
    for line in text.lines() {
        // Percent-encoded and base64 forms.
        for forbidden in ["featherstonehaugh", "Featherstonehaugh", "ZmVhdGhlcnN0b25l", "RmVhdGhlcnN0b25l", "7700%20900123"] {
            assert!(!line.contains(forbidden), "`{forbidden}` is in {what}: {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_metrics_and_answers_show_neither_persons_nor_secrets() {
    let receiver = Receiver::scripted(|request, number| {
        let echo = format!("Zq8-echo {:?} {}", request.headers, String::from_utf8_lossy(&request.body));
        match request.path.rsplit('/').next() {
            Some("dead") => Answer::status(422).body(echo).header("x-echo", "Zq8-echo"),
            Some("redirect") => Answer::status(302).header("location", "http://127.0.0.1:9/Zq8-echo"),
            Some("slow") => Answer::Hang,
            Some("cut") if number % 2 == 0 => Answer::CutHead,
            Some("retry") => Answer::status(500).body(echo),
            _ => Answer::status(200).body(echo),
        }
    })
    .await;
    // It repeats what it was sent.
    let tokens = Receiver::scripted(|request, _| {
        let echo = format!("{:?} {}", request.headers, String::from_utf8_lossy(&request.body)).replace('"', "'");
        match request.path.as_str() {
            "/good" => Answer::status(200).body(r#"{"access_token":"Zq7-access/+=","expires_in":0}"#).header("x-echo", "Zq7-client"),
            "/bad" => Answer::status(500).body(format!(r#"{{"error":"{echo}","error_description":"{echo}"}}"#)),
            _ => Answer::status(200).body(format!("Zq7-client {echo}")),
        }
    })
    .await;
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let ca = write(folder.path(), "ca.pem", &authority.pem());
    let client = authority.issue(&["relay"]);
    let (certificate, key) = (write(folder.path(), "client.pem", &client.certificate), write(folder.path(), "client.key", &client.key));
    let secure = Receiver::secure(Authority::serve(&authority.issue(&["127.0.0.1"]), Some(&authority))).await;
    let tls = format!("tls: {{ ca: {}, cert: {}, key: {} }}", ca.display(), certificate.display(), key.display());
    let oauth2 = |path: &str| {
        let url = tokens.url(path);
        format!("auth: {{ oauth2: {{ token_url: '{url}', client_id: relay, client_secret: '${{CLIENT_SECRET}}' }} }}")
    };
    let url = receiver.url("/${CRM_PATH}");
    let userinfo = url.replace("http://", "http://user:${BASIC}@");
    let routes = format!(
        "source: {{ path: /webhooks/wiza, api_keys: ['${{API_KEY}}'] }}
defaults:
  timeout: 300ms
  retry: {{ first: 5ms, attempts: 3 }}
  headers: {{ authorization: 'Bearer ${{CRM_TOKEN}}', x-person: '{{{{ data.email }}}}' }}
destinations:
  fine: {{ url: '{url}/fine?email={{{{ data.email }}}}&key=${{QUERY}}' }}
  basic: {{ url: '{userinfo}/fine' }}
  dead: {{ url: '{url}/dead' }}
  redirect: {{ url: '{url}/redirect' }}
  slow: {{ url: '{url}/slow' }}
  cut: {{ url: '{url}/cut' }}
  retry: {{ url: '{url}/retry', body: {{ name: '{{{{ data.name }}}}' }} }}
  refused: {{ url: 'http://127.0.0.1:9/${{CRM_PATH}}/{{{{ data.email }}}}' }}
  nowhere: {{ url: 'http://nowhere.invalid/${{CRM_PATH}}/{{{{ data.email }}}}' }}
  unrendered: {{ url: '{url}/', body: {{ x: '{{{{ data.nobody.first }}}}' }} }}
  mistyped: {{ url: '{url}/', body: {{ x: '{{{{ data.name + 1 }}}}' }} }}
  misled: {{ url: '{url}/{{{{ data.name }}}}/{{{{ data.dots }}}}/' }}
  password: {{ url: '{url}/retry', auth: {{ basic: {{ username: relay, password: '${{PASSWORD}}' }} }} }}
  granted: {{ url: '{url}/retry', {granted} }}
  denied: {{ url: '{url}/fine', {denied} }}
  muddled: {{ url: '{url}/fine', {muddled} }}
  secure: {{ url: '{secure_url}', {tls}, sign: {{ secret: '${{SIGNING}}' }}, headers: {{ x-person: '{{{{ data.email }}}}' }} }}
  short: {{ url: '{url}/fine', success: $.ok == true, sign: {{ secrets: ['${{SIGNING}}'] }} }}
routes:
  - {{ name: everything, to: [fine, basic, dead, redirect, slow, cut, retry, refused, nowhere, unrendered, mistyped, misled,
      password, granted, denied, muddled, secure, short] }}",
        granted = oauth2("/good"),
        denied = oauth2("/bad"),
        muddled = oauth2("/odd"),
        secure_url = secure.url("/crm"),
    );
    let collector = Collector::start().await;
    let mut relay = collector
        .of(Setup::new(routes))
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Zq7-token")
        .flag("log", "trace")
        .env("API_KEY", SECRETS[0])
        .env("CRM_TOKEN", SECRETS[1])
        .env("CRM_PATH", SECRETS[2])
        .env("BASIC", SECRETS[3])
        .env("QUERY", SECRETS[5])
        .env("PASSWORD", SECRETS[6])
        .env("CLIENT_SECRET", SECRETS[7])
        .env("SIGNING", SIGNING)
        .seen_by(&receiver)
        .start()
        .await;
    let key = sha256_hex(KEY);
    let post = |body: String| relay.webhook(body).auth_key(Some(&key)).below("/Zq8-key/emea?record=0031xPRIVATE&name=Zq8-echo");
    let mut answers = String::new();
    for number in 0..3 {
        let reply = post(payload(&format!("{number}"))).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        answers += &reply.text();
    }
    let refusals = [
        post(payload("1")),
        post(format!("[{}]", payload("1"))),
        post(payload("1").replace("\"data\"", "data")),
        post(payload("1") + PERSONAL[0]),
        post(payload("1")).header("content-encoding", "gzip"),
        post(payload("1")).header("content-encoding", PERSONAL[3]),
        post(payload("1")).auth_key(Some(&sha256_hex("Zq7-guess"))),
        post(payload("1")).auth_key(Some(KEY)),
        post(payload("1")).path("/webhooks/Zq8-key?record=0031xPRIVATE"),
        post(payload("1")).method("PUT"),
        post(format!("{{\"x\":\"{}\"}}", PERSONAL[0].repeat(50_000))),
    ];
    for refusal in refusals {
        let reply = refusal.send().await;
        answers += &reply.text();
        answers += &format!("{:?}", reply.headers);
    }
    assert_clean("an answer", &answers);
    eventually("every outcome is there", async || {
        let metrics = relay.metrics().await;
        metrics.destinations().iter().all(|name| metrics.get("waiting", &[("destination", name)]) == 0).then_some(())
    })
    .await;
    let seen = receiver.requests();
    assert!(
        seen.iter().any(|request| request.find_header("authorization") == Some("Bearer Zq7-token") && request.path.contains("Zq7-path"))
    );
    for authorization in ["Bearer Zq7-access/+=", "Basic cmVsYXk6WnE3LXBhc3N3b3Jk"] {
        assert!(seen.iter().any(|request| request.find_header("authorization") == Some(authorization)), "{authorization} was never sent");
    }
    assert!(tokens.count() >= 9 && secure.count() >= 3);
    assert!(["TRACE", "DEBUG", "INFO", "WARN"].iter().all(|level| relay.log().contains(level)), "{}", relay.log());
    assert_clean("what is public", &public(&relay).await);
    // The stored replies and errors are for operators, and hold no secret either.
    for id in relay.accepted() {
        for secret in SECRETS.into_iter().chain(ENCODED) {
            for (what, text) in relay.stored().told(&id) {
                assert!(!text.contains(secret), "{secret} is in {what}: {text}");
            }
        }
    }
    let before = public(&relay).await;
    assert_eq!(relay.terminate().await.code(), Some(0));
    assert_clean("the log of the end", &(before + &relay.log()));
    assert_eq!(relay.stored().events(), 3 + 3);
    // A collector is somebody else's, and told no more than a log.
    let spans = collector.spans();
    for name in ["POST /webhooks/wiza", "POST dead", "POST retry", "POST nowhere", "render unrendered", "render mistyped", "POST denied"] {
        assert!(spans.iter().any(|span| span.name == name), "{name}: {spans:#?}");
    }
    assert_eq!(collector.receiver.requests()[0].header("authorization"), "Zq7-token");
    assert_clean("what a collector is told", &format!("{spans:#?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_of_a_file_hold_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.yaml");
    let secrets = SECRETS.map(|secret| format!("{secret} ://\n:"));
    for text in [
        "source: { path: '${A}', api_keys: ['${A}', '${A} '] }",
        "source: { path: /, api_keys: [{ sha256: '${A}' }], max_body: '${A}' }",
        "source: { path: /, api_keys: ['${A}'] }\ndestinations: { a: { url: '${A}', method: '${A}', timeout: '${A}', rate_limit: '${A}' } }",
        "source: { path: /, api_keys: ['${A}'] }\ndestinations: { a: { url: 'http://x/', auth: { basic: { username: '${A}', password: '${A}' } }, sign: { secret: '${A}' }, tls: { ca: '${A}', cert: '/${A}', key: '/${A}' } }, b: { url: 'http://x/', sign: { secrets: ['${A}'] }, auth: { oauth2: { token_url: '${A}', client_id: '${A}', client_secret: '${A}', client_auth: '${A}' } }, success: '${A}' } }\nroutes: []",
        "source: { path: /, api_keys: ['${A}'] }\ndestinations: { a: { url: 'http://x/', headers: { x: '${A}' }, body: { a: '{{ ${A} }}' } } }\nroutes: [{ name: '${A}', to: ['${A}'], when: '${A}' }]",
    ] {
        std::fs::write(&path, text).unwrap();
        let path = path.display().to_string();
        for arguments in [&["check", &path][..], &["check", "--json", &path], &["serve", "--config", &path]] {
            for secret in &secrets {
                let ran = run_with(arguments, &[("A", secret)]).await;
                assert_eq!(ran.code, Some(1), "{ran:?}");
                assert!(!ran.error.contains("Zq7") && !ran.output.contains("Zq7"), "{text}: {ran:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_disk_network_and_file_show_neither_persons_nor_secrets() {
    let Some(faults) = Faults::new() else { return };
    let receiver = Receiver::start().await;
    let proxy = Link::to(receiver.address).await;
    let url = |scheme: &str| format!("{scheme}://user:${{BASIC}}@{}/${{CRM_PATH}}/{{{{ data.email }}}}?key=${{QUERY}}", proxy.address);
    let routes = format!(
        "source: {{ path: /webhooks/wiza, api_keys: ['${{API_KEY}}'] }}
defaults: {{ timeout: 300ms, retry: {{ first: 5ms, factor: 1, attempts: 1000 }}, circuit: {{ failures: 10000, cooldown: 1ms }} }}
destinations:
  plain: {{ url: '{}', headers: {{ authorization: 'Bearer ${{CRM_TOKEN}}' }} }}
  secure: {{ url: '{}' }}
  nowhere: {{ url: 'http://nowhere.invalid/${{CRM_PATH}}/{{{{ data.email }}}}' }}
routes: [{{ name: everything, to: [plain, secure, nowhere] }}]
",
        url("http"),
        url("https")
    );
    let mut setup = Setup::new(routes).seen_by(&receiver).with(&faults).flag("log", "wiza_relay=trace,info").damaged();
    for (name, value) in
        [("API_KEY", KEY), ("CRM_TOKEN", "Zq7-token"), ("CRM_PATH", "Zq7-path"), ("BASIC", "Zq7-basic"), ("QUERY", "Zq7-query")]
    {
        setup = setup.env(name, value);
    }
    let mut relay = setup.start().await;
    let post = |relay: &Relay, id: &str| relay.webhook(payload(id)).auth_key(Some(&sha256_hex(KEY))).below("/emea?record=0031xPRIVATE");
    let mut answers = String::new();
    let network =
        [Fault::Reset, Fault::Hang, Fault::Noise, Fault::ResetRequestAfter(50), Fault::ResetReplyAfter(5), Fault::CloseReplyAfter(10)];
    for (number, fault) in network.into_iter().enumerate() {
        proxy.inject(fault);
        let before = relay.metric("attempts_total", &[("destination", "plain"), ("result", "retried")]).await;
        answers += &post(&relay, &format!("network {number}")).send().await.text();
        eventually("attempts fail", async || {
            (relay.metric("attempts_total", &[("destination", "plain"), ("result", "retried")]).await > before + 2).then_some(())
        })
        .await;
    }
    assert_clean("what is public of a network's faults", &public(&relay).await);
    for rule in ["write relay.db-wal EIO", "write relay.db-wal ENOSPC", "sync relay.db-wal EIO"] {
        faults.inject(rule);
        let refused = post(&relay, rule).send().await;
        assert_eq!(refused.status, 503);
        answers += &refused.text();
        faults.clear();
        if !rule.starts_with("sync") {
            eventually("it writes again", async || (relay.get("/readyz").await.0 == 200).then_some(())).await;
        }
    }
    assert_clean("what is public of a disk's faults", &public(&relay).await);
    relay.kill();
    // In every file of the store, each third page is overwritten; whatever is said of that, it shows no content.
    for name in ["relay.db-wal", "relay.db"] {
        let path = relay.store().join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        for page in bytes.chunks_mut(4096).skip(2).step_by(3) {
            page.fill(b'[');
        }
        std::fs::write(path, bytes).unwrap();
        let ran = relay.refused_start().await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_clean("what is said of a damaged store", &(ran.error + &ran.output));
    }
    let export = run_with(&["export", "--store", &relay.store().display().to_string()], &[]).await;
    assert_clean("what an export says beside the events", &export.error);
    assert_clean("an answer", &answers);
}

/// A core dump would hold both. The kernel heeds the limit, or, where it hands dumps to a program, only whether a process is dumpable; what
/// is not belongs to root in /proc, so that its own user can read neither its memory nor its environment.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_leaves_no_core_dump_and_the_environment_is_nobodys_to_read() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let Some(mut command) = relay_as_nobody() else { return skipped("no process can be run as another user here") };
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("routes.yaml");
    std::fs::write(&rules, format!("source: {{ path: /w, api_keys: [{KEY}] }}\n{}", one_destination("http://127.0.0.1:9/", ""))).unwrap();
    for path in [folder.path(), &rules] {
        chown(path, Some(65534), Some(65534)).unwrap();
    }
    let (webhooks, admin) = (free_address().to_string(), free_address().to_string());
    command.current_dir(folder.path()).args([
        "serve",
        "--config",
        "routes.yaml",
        "--store",
        "store",
        "--listen",
        &webhooks,
        "--admin",
        &admin,
    ]);
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let metrics = eventually("it is ready", async || {
        let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(format!("http://{admin}/metrics")).send().await.ok()?;
        answer.text().await.ok()
    })
    .await;
    let of = |name: &str| format!("/proc/{}/{name}", child.id());
    let limits = std::fs::read_to_string(of("limits")).unwrap();
    let owner = std::fs::metadata(of("environ")).unwrap().uid();
    child.kill().unwrap();
    child.wait().unwrap();
    let core: Vec<&str> = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().split_whitespace().skip(4).collect();
    assert_eq!(core, ["0", "0", "bytes"], "{limits}");
    assert_eq!(owner, 0, "it runs as 65534, and what is in /proc is its own while it is dumpable");
    let files = metrics.lines().find_map(|line| line.strip_prefix("process_open_fds ")).unwrap();
    assert!(files.parse::<u64>().unwrap() > 0, "it still sees itself: {files}");
}
