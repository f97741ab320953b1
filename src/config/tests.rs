//! What valid files mean, and what hostile ones cost.

use std::time::{Duration, Instant};

use http::Method;
use proptest::prelude::*;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::circuit::Circuit;
use crate::transform::{Body, Tree};

use super::*;

fn lookup(name: &str) -> Option<String> {
    match name {
        "WIZA_API_KEY" => Some("wiza-key-1".into()),
        "SLACK_WEBHOOK_URL" => Some("https://hooks.slack.example/T0/B0/s3cret".into()),
        "CRM_TOKEN" => Some("s3cret-{{ token }}".into()),
        "SECONDS" => Some("7s".into()),
        _ => None,
    }
}

fn findings(text: &str) -> Vec<String> {
    load("f", text, &lookup).findings.iter().map(ToString::to_string).collect()
}

fn config(text: &str) -> Config {
    let loaded = load("routes.yaml", text, &lookup);
    let said: Vec<_> = loaded.findings.iter().map(|finding| finding.render(text, false)).collect();
    loaded.config.unwrap_or_else(|| panic!("{}", said.join("\n")))
}

/// A file with these lines below the one destination `d`.
fn with_destination(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "source: {{ path: /w, api_keys: [k] }}\ndestinations:\n  d:\n    url: https://d.example/\n{lines}routes:\n  - {{ name: r, to: [d] }}\n"
    )
}

fn tree(body: &str) -> Tree {
    let body: String = body.lines().map(|line| format!("  {line}\n")).collect();
    let config = config(&with_destination(&format!("body:\n{body}")));
    let destination = Arc::into_inner(config.destinations.into_iter().next().unwrap()).unwrap();
    match destination.shape.body {
        Some(Body::Tree(tree)) => tree,
        other => panic!("{other:?}"),
    }
}

const SAMPLE: &str = r#"
source:
  path: /webhooks/wiza/
  api_keys:
    - ${WIZA_API_KEY}
    - sha256: 9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08
  max_body: 2MiB
  dedupe: { window: 12h, key: [$.type, $.data.id, $.data.status] }

defaults:
  timeout: 5s
  headers: { x-team: revops, x-env: default }
  retry: { attempts: 7, first: 1s }
  circuit: { failures: 3 }

destinations:
  slack-alerts:
    url: ${SLACK_WEBHOOK_URL}
    rate_limit: 1/s
    body:
      text: ":warning: reveal {{ data.id }} failed: {{ data.fail_error | default('no reason given', true) }}"
  crm:
    url: https://crm.example.com/v1/contacts/{{ data.id }}
    method: PUT
    timeout: ${SECONDS}
    concurrency: ${CONCURRENCY:-4}
    rate_limit: { rate: 90/m, burst: 5 }
    headers: { authorization: "Bearer ${CRM_TOKEN}", X-Env: crm }
    retry: { first: 2s, factor: 1.5 }
    body:
      email: $.data.email
      verified_emails: $.data.emails[?@.email_status == "valid"].email
      full_name: "{{ data.name | title }}"
      source: wiza
      static: { yes: true, count: 3, ratio: 1.50, none: null, zip: 01234, quoted: "5", token: "${CRM_TOKEN}" }
  warehouse:
    url: http://ingest.internal/wiza

routes:
  - name: failures
    when: status.code == 400 or data.status == "failed"
    to: [slack-alerts]
  - name: valid work emails
    when: data.email_status == "valid" and data.emails[?@.email_type == "work"]
    to:
      - destination: crm
        headers: { x-route: valid }
        body: "{{ data.email }}"
  - name: everything
    to: warehouse
    stop: true
unmatched: []
retention: { delivered: 1d, size: 1GB }
tests:
  - name: a failed reveal alerts Slack
    payload: samples/failed.json
    expect:
      slack-alerts: { body: { text: "x" } }
      warehouse: {}
"#;

#[test]
fn a_whole_file_becomes_a_config() {
    let config = config(SAMPLE);
    assert_eq!(config.source.path, "/webhooks/wiza");
    assert_eq!(config.source.body_bytes_max, 2 << 20);
    assert_eq!(config.source.api_keys.all()[0].hash[..], Sha256::digest(b"wiza-key-1")[..]);
    assert_eq!(config.source.api_keys.all()[1].hash[..], Sha256::digest(b"test")[..]);
    assert_eq!(config.source.dedupe.window, Duration::from_secs(12 * 3600));
    assert_eq!(config.source.dedupe.key.len(), 3);

    let names: Vec<_> = config.destinations.iter().map(|destination| destination.name.as_str()).collect();
    assert_eq!(names, ["slack-alerts", "crm", "warehouse"]);
    let [slack, crm, warehouse] = &config.destinations[..] else { panic!() };
    assert_eq!((slack.method.clone(), slack.timeout, slack.concurrency), (Method::POST, Duration::from_secs(5), 16));
    assert_eq!(slack.rate_limit.unwrap().burst.get(), 1);
    assert_eq!((crm.method.clone(), crm.timeout, crm.concurrency), (Method::PUT, Duration::from_secs(7), 4));
    let limit = crm.rate_limit.unwrap();
    assert_eq!((limit.count.get(), limit.per, limit.burst.get()), (90, Duration::from_secs(60), 5));
    assert_eq!(crm.retry, Retry { attempts: 7, first: Duration::from_secs(2), factor: 1.5, ..Retry::default() });
    assert_eq!(crm.circuit, Circuit { failures: 3, ..Circuit::default() });
    let headers = |shape: &Shape| shape.headers.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>();
    assert_eq!(headers(&crm.shape), ["x-team", "authorization", "x-env"]);
    assert_eq!(headers(&warehouse.shape), ["x-team", "x-env"]);
    assert!(warehouse.shape.body.is_none() && warehouse.rate_limit.is_none());

    let [failures, valid, everything] = &config.routes[..] else { panic!() };
    assert!(failures.when.is_some() && !failures.stop && !failures.shadow);
    assert_eq!((failures.to[0].destination, failures.to[0].shape.is_none()), (0, true));
    let shape = valid.to[0].shape.as_ref().unwrap();
    assert_eq!((valid.to[0].destination, shape.url.is_none(), headers(shape)), (1, true, vec!["x-route".to_owned()]));
    assert!(matches!(shape.body, Some(Body::Text(_))));
    assert_eq!((everything.to[0].destination, everything.stop), (2, true));
    assert_eq!(config.retention, Retention { delivered: Duration::from_secs(86_400), size: 1_000_000_000, ..Retention::default() });
    let expected: Vec<_> = config.tests[0].expect.iter().map(|(name, expectation)| (name.as_str(), expectation.body.clone())).collect();
    assert_eq!(expected, [("slack-alerts", Some(json!({"text": "x"}))), ("warehouse", None)]);
    assert_eq!(config.tests[0].place.line, 55);
    assert_eq!(config.version.len(), 12);
}

#[test]
fn a_config_shows_no_secret() {
    let config = config(SAMPLE);
    let shown = format!("{config:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("wiza-key-1"), "{shown}");
    assert_eq!(
        config.secrets.mask("401 for s3cret-{{ token }} at https://hooks.slack.example/T0/B0/s3cret"),
        "401 for ${CRM_TOKEN} at ${SLACK_WEBHOOK_URL}"
    );
}

#[test]
fn what_is_left_out_has_defaults() {
    let config = config(&with_destination(""));
    assert_eq!(config.source.body_bytes_max, 1 << 20);
    assert_eq!(config.source.dedupe.window, Duration::from_secs(86_400));
    assert!(config.source.dedupe.key.is_empty() && config.unmatched.is_empty() && config.tests.is_empty());
    let destination = &config.destinations[0];
    assert_eq!(destination.timeout, Duration::from_secs(10));
    assert_eq!(destination.concurrency, 16);
    assert_eq!(
        destination.retry,
        Retry {
            attempts: 20,
            first: Duration::from_secs(5),
            factor: 2.5,
            max: Duration::from_secs(4 * 3600),
            deadline: Duration::from_secs(3 * 86_400),
            on: Vec::new()
        }
    );
    assert_eq!(destination.circuit, Circuit { failures: 10, refusals: 20, cooldown: Duration::from_secs(30) });
    assert_eq!(
        config.retention,
        Retention {
            delivered: Duration::from_secs(7 * 86_400),
            dead: Duration::from_secs(30 * 86_400),
            parked: Duration::from_secs(30 * 86_400),
            size: 10 << 30
        }
    );
}

#[test]
fn statuses_of_retry_on_are_a_destination_s_own_or_those_of_defaults() {
    let text = "source: { path: /, api_keys: [k] }
defaults: { retry: { on: [404, 302], attempts: 3 } }
destinations:
  theirs: { url: 'http://d/' }
  own: { url: 'http://d/', retry: { on: [403] } }
  none: { url: 'http://d/', retry: { on: [] } }
routes: [{ name: all, to: [theirs, own, none] }]
";
    let config = config(text);
    let on: Vec<_> = config.destinations.iter().map(|destination| (destination.retry.on.clone(), destination.retry.attempts)).collect();
    assert_eq!(on, [(vec![404, 302], 3), (vec![403], 3), (vec![], 3)]);
    assert!(config.destinations[1].retry.is_throttle(403) && config.destinations[1].retry.is_throttle(429));
    assert!(!config.destinations[1].retry.is_throttle(404));
}

#[test]
fn the_burst_of_a_rate_is_a_tenth_of_a_second() {
    for (rate, burst) in [("1/h", 1), ("9/s", 1), ("50/s", 5), ("1000/s", 100), ("6000/m", 10)] {
        let config = config(&with_destination(&format!("rate_limit: {rate}")));
        assert_eq!(config.destinations[0].rate_limit.unwrap().burst.get(), burst, "{rate}");
    }
}

#[test]
fn api_keys_are_read_as_they_are_written() {
    for key in ["12345678901234567890123", "0123", "1_000", "0x1F", "1.50", "true", "2024-01-01"] {
        let config = config(&format!(
            "source:\n  path: /\n  api_keys:\n    - {key}\ndestinations: {{d: {{url: 'http://d/'}}}}\nroutes: [{{name: r, to: d}}]\n"
        ));
        assert_eq!(config.source.api_keys.all()[0].hash[..], Sha256::digest(key.as_bytes())[..], "{key}");
    }
}

#[test]
fn bodies_keep_types() {
    let Tree::Map(entries) = tree(
        "a: 5\nb: \"5\"\nc: true\nd: ~\ne: 0123\nf: 1_000\ng: $.data.id\nh: \"$[0]\"\ni: $5\nj: \"{{ data.id }}\"\nk: ${CRM_TOKEN}\nl: $${X}\nm: [1, x]\nn: 18446744073709551615\no: $\np: \"$ \"\nq: $$\nr: $x",
    ) else {
        panic!()
    };
    let shown: Vec<String> = entries
        .iter()
        .map(|(key, tree)| match tree {
            Tree::Literal(value) => format!("{key}={value}"),
            Tree::Select(_) => format!("{key} selects"),
            Tree::Template(template) => format!("{key} renders {}", template.masked()),
            Tree::List(items) => format!("{key} has {}", items.len()),
            Tree::Map(_) | Tree::Each(_) | Tree::Value(_) | Tree::Present(_) => unreachable!(),
        })
        .collect();
    assert_eq!(
        shown,
        [
            "a=5",
            "b=\"5\"",
            "c=true",
            "d=null",
            "e=\"0123\"",
            "f=\"1_000\"",
            "g selects",
            "h selects",
            "i=\"$5\"",
            "j renders {{ data.id }}",
            "k renders ${CRM_TOKEN}",
            "l=\"${X}\"",
            "m has 2",
            "n=18446744073709551615",
            "o selects",
            "p=\"$ \"",
            "q=\"$$\"",
            "r=\"$x\"",
        ]
    );
}

#[test]
fn a_body_can_be_one_path_or_one_template() {
    let body = |line: &str| {
        let config = config(&with_destination(line));
        format!("{:?}", config.destinations[0].shape.body.as_ref().unwrap())
    };
    assert!(body("body: $.data").starts_with("Tree(Select"));
    assert!(body("body: $").starts_with("Tree(Select"));
    assert!(body("body: hello {{ data.name }}").starts_with("Text("));
    assert!(body("body: [1, 2]").starts_with("Tree(List"));
}

#[test]
fn anchors_serve_several_destinations() {
    let config = config(
        "source: {path: /, api_keys: [k]}\ndestinations:\n  a: &a\n    url: https://a.example/\n    timeout: 3s\n  b:\n    <<: *a\n    timeout: 4s\nroutes: [{name: r, to: [a, b]}]\n",
    );
    let timeouts: Vec<_> = config.destinations.iter().map(|destination| destination.timeout.as_secs()).collect();
    assert_eq!(timeouts, [3, 4]);
}

#[test]
fn a_defect_of_defaults_is_said_once() {
    let file = "source: {path: /, api_keys: [k]}\ndefaults: {timeout: 5, headers: {host: x}}\ndestinations:\n  a: {url: 'http://a/'}\n  b: {url: 'http://b/'}\nroutes: [{name: r, to: [a, b]}]\n";
    assert_eq!(findings(file), ["f:2:21: error: `5` has no unit", "f:2:34: error: the relay sets the header `host` itself",]);
}

#[test]
fn windows_line_ends_and_byte_order_marks_are_fine() {
    config(&format!("\u{feff}{}", SAMPLE.replace('\n', "\r\n")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A slip anywhere in a file is answered: with a config, or with errors whose places are in the file.
    #[test]
    fn slips_are_answered(slips in prop::collection::vec((0usize..2000, 0usize..12, "[ \n\t:,{}\\[\\]$\"'!&*|>#a0.-]{0,4}"), 1..4)) {
        let mut file = SAMPLE.to_owned();
        for (at, length, text) in slips {
            let at = at.min(file.len());
            file.replace_range(at..(at + length).min(file.len()), &text);
        }
        let Loaded { config, findings, .. } = load("f", &file, &lookup);
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        prop_assert_eq!(config.is_none(), errors > 0);
        for finding in &findings {
            let line = file.split('\n').nth(finding.line - 1);
            prop_assert!(line.is_some_and(|line| finding.column <= line.chars().count() + 1), "{}", finding);
            let shown = finding.render(&file, false);
            prop_assert!(!finding.message.contains("T0/B0/s3cret") && !shown.contains("T0/B0/s3cret"), "{}", shown);
        }
    }
}

#[test]
fn conditions_and_templates_of_hostile_length_are_answered_in_little_time() {
    let start = Instant::now();
    let long = "data.a == 1 and ".repeat(50_000);
    let files = [
        SAMPLE.replace("status.code == 400", &long),
        SAMPLE.replace("{{ data.name | title }}", &"{{ a }}".repeat(100_000)),
        SAMPLE.replace("source: wiza", &format!("source: '{}'", "${NOPE}".repeat(100_000))),
        SAMPLE.replace("source: wiza", &format!("source: {}1{}", "[".repeat(50), "]".repeat(50))),
        SAMPLE.replace("source: wiza", &format!("{}: 1", "k".repeat(900_000))),
        SAMPLE.replace("$.data.email", &format!("$.data{}", "[0]".repeat(100_000))),
        SAMPLE.replace("/webhooks/wiza/", &"/x".repeat(500_000)),
        SAMPLE.replace("timeout: 5s", &format!("timeout: {}s", "9".repeat(500_000))),
        SAMPLE.replace("- name: failures", &format!("- {}: 1\n    name: failures", "x".repeat(1000))),
        (0..20_000).map(|n| format!("k{n}: 1\n")).collect::<String>() + SAMPLE,
        SAMPLE.replace("unmatched: []", &format!("unmatched: [{}]", "nobody, ".repeat(50_000))),
        // As many unknown names as known ones: each would be compared with all.
        SAMPLE
            .replace(
                "destinations:",
                &format!("destinations:\n{}", (0..20_000).map(|n| format!("  dest{n}: {{ url: 'http://x/' }}\n")).collect::<String>()),
            )
            .replace("unmatched: []", &format!("unmatched: [{}]", (0..20_000).map(|n| format!("dset{n}, ")).collect::<String>())),
        // Each function would be looked for among all values.
        SAMPLE.replace(
            "source: wiza",
            &"- '${CRM_TOKEN}{{ range(1) }}'\n".repeat(20_000).replace("- ", "      - ").replacen("      - ", "many:\n      - ", 1),
        ),
    ];
    for file in files {
        for finding in load("f", &file, &lookup).findings {
            assert!(finding.render(&file, false).len() < 2000);
        }
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn what_is_read_again_and_again_has_a_limit() {
    let messages = |file: &str| -> Vec<String> { load("f", file, &lookup).findings.into_iter().map(|finding| finding.message).collect() };
    let long = "x".repeat(60_000);
    let aliases = format!("{SAMPLE}\nlong: &long '{long}'\nagain: [{}]\n", "*long, ".repeat(200));
    assert!(messages(&aliases).iter().any(|message| message.starts_with("more than 8 MiB of text, aliases counted in full")));
    let many: String = (0..1_000).map(|n| format!("  d{n}: {{ url: 'http://x/' }}\n")).collect();
    let defaults =
        |body: &str| format!("source: {{ path: /w, api_keys: [k] }}\ndefaults: {{ body: '{body}' }}\ndestinations:\n{many}routes: []\n");
    assert!(messages(&defaults(&long)).iter().any(|message| message.starts_with("these defaults, read for each of 1000 destinations")));
    assert!(!messages(&defaults("short")).iter().any(|message| message.starts_with("these defaults")));
}

#[test]
fn a_dry_run_needs_no_value_that_decides_nothing() {
    let file = "
source: { path: '${P}', api_keys: [{ sha256: '${HASH}' }], max_body: '${SIZE}', dedupe: { window: '${TIME}' } }
destinations:
  a: { url: '${URL}', timeout: '${TIME}', concurrency: '${COUNT}', rate_limit: '${RATE}', retry: { factor: '${NUMBER}' }, headers: { x: '${H}' } }
routes: [{ name: r, to: [a], stop: STOP }]
";
    let nothing = |_: &str| None;
    let loaded = load_for_dry_run("f", &file.replace("STOP", "'${STOP:-true}'"), &nothing);
    assert_eq!(loaded.findings, []);
    assert_eq!(loaded.stood_in_for, ["COUNT", "H", "HASH", "NUMBER", "P", "RATE", "SIZE", "TIME", "URL"]);
    assert!(loaded.config.is_some());

    // What a route does is not guessed.
    let loaded = load_for_dry_run("f", &file.replace("STOP", "'${STOP}'"), &nothing);
    let [finding] = loaded.findings.as_slice() else { panic!("{:?}", loaded.findings) };
    assert_eq!(finding.message, "the variable `STOP` is not set, and what the rules do depends on it");
    assert_eq!(finding.hint.as_deref(), Some("set it, or give a default: `${STOP:-...}`"));
    // A value that is there is held to what is wanted.
    let lookup = |name: &str| (name == "TIME").then(|| "ten".to_owned());
    let loaded = load_for_dry_run("f", &file.replace("STOP", "true"), &lookup);
    assert_eq!(loaded.findings.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>(), ["`${TIME}` is not a duration"; 2]);
}

#[test]
fn a_signing_secret_is_masked_with_and_without_its_prefix() {
    let config = config(&with_destination("sign: { secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw }"));
    for form in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw&#61"] {
        let masked = config.secrets.mask(&format!("not signed with {form}"));
        assert!(!masked.contains("MfKQ9r8") && masked.contains("${sign}"), "{masked}");
    }
}
