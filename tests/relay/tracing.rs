//! Traces: one an event, told to a real receiver of OTLP over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;

use crate::harness::certificates::write;
use crate::harness::collector::{Collector, Span};
use crate::harness::{Answer, Authority, Receiver, Request, Setup, eventually, one_destination, reveal, run_with};

/// The event's id as a trace's.
fn trace(event: &str) -> String {
    event.replace('-', "")
}

/// The id of the span in which it was received: the last half of its own.
fn receipt(event: &str) -> String {
    trace(event).split_off(16)
}

/// Trace, span and flags that a destination was given.
fn given(request: &Request) -> (String, String, String) {
    let mut parts = request.header("traceparent").split('-').map(str::to_owned);
    assert_eq!(parts.next().as_deref(), Some("00"));
    let found = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    assert_eq!(parts.next(), None);
    found
}

fn of_kind(spans: &[Span], kind: SpanKind) -> Vec<&Span> {
    spans.iter().filter(|span| span.kind == kind).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_from_the_webhook_to_each_attempt() {
    let collector = Collector::start().await;
    let receiver = Receiver::answering([Answer::status(503)]).await;
    let setup = Setup::to(&receiver, "retry: { first: 5ms }, method: PUT");
    let setup = collector
        .of(setup)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20collector-token,x-scope=relay")
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .env("OTEL_SERVICE_NAME", "relay-emea")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=production,service.name=other");
    let relay = setup.flag("log-format", "json").start().await;
    let event = relay.webhook(reveal(1)).below("/emea?record=1").accepted().await;
    let spans = collector.wait_for(4).await;
    assert_eq!(spans.len(), 4, "{spans:#?}");
    assert!(spans.iter().all(|span| span.trace == trace(&event)), "{spans:#?}");

    let [webhook] = of_kind(&spans, SpanKind::Server)[..] else { panic!("{spans:#?}") };
    assert_eq!((webhook.id.clone(), webhook.parent.as_str()), (receipt(&event), ""));
    assert_eq!((webhook.name.as_str(), &webhook.failed), ("POST /webhooks/wiza", &None));
    let expected = [
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("http.route", "/webhooks/wiza"),
        ("wiza_relay.event.id", &event),
        ("wiza_relay.outcome", "accepted"),
    ];
    assert_eq!(webhook.attributes, map(&expected));

    let [store] = of_kind(&spans, SpanKind::Internal)[..] else { panic!("{spans:#?}") };
    assert_eq!((store.name.as_str(), &store.parent, &store.failed), ("store", &webhook.id, &None));
    assert!(webhook.times.0 <= store.times.0 && store.times.0 < store.times.1 && store.times.1 <= webhook.times.1, "{spans:#?}");

    let attempts = of_kind(&spans, SpanKind::Client);
    let requests = receiver.requests();
    let port = receiver.address.port().to_string();
    for (place, (attempt, request)) in attempts.iter().zip(&requests).enumerate() {
        assert_eq!(given(request), (attempt.trace.clone(), attempt.id.clone(), "01".to_owned()));
        assert_eq!((attempt.name.as_str(), &attempt.parent), ("PUT crm", &webhook.id));
        let mut expected = map(&[
            ("http.request.method", "PUT"),
            ("server.address", "127.0.0.1"),
            ("server.port", &port),
            ("url.scheme", "http"),
            ("wiza_relay.destination", "crm"),
            ("wiza_relay.event.id", &event),
            ("wiza_relay.route", "everything"),
        ]);
        let more: &[_] = match place {
            0 => &[
                ("error.type", "503"),
                ("http.response.status_code", "503"),
                ("wiza_relay.attempt", "1"),
                ("wiza_relay.result", "retried"),
            ],
            _ => &[
                ("http.request.resend_count", "1"),
                ("http.response.status_code", "200"),
                ("wiza_relay.attempt", "2"),
                ("wiza_relay.result", "delivered"),
            ],
        };
        expected.extend(map(more));
        assert_eq!(attempt.attributes, expected);
        assert_eq!(attempt.failed.is_some(), place == 0);
    }
    assert_eq!(attempts.len(), 2);
    assert!(attempts[0].times.1 <= attempts[1].times.0, "{attempts:#?}");

    // What the log says of an attempt leads to its span, and back.
    let log = relay.log();
    for attempt in &attempts {
        let found = |line: &&str| line.contains(&attempt.id) && line.contains(&attempt.trace) && line.contains(&event);
        assert_eq!(log.lines().filter(found).count(), 1, "{log}");
    }
    let resource = &spans[0].resource;
    let told = |name: &str| resource.get(name).map_or("", String::as_str);
    assert_eq!((told("service.name"), told("deployment.environment.name")), ("relay-emea", "production"));
    assert_eq!((told("service.version"), told("telemetry.sdk.name")), (env!("CARGO_PKG_VERSION"), "opentelemetry"));
    let export = &collector.receiver.requests()[0];
    assert_eq!((export.path.as_str(), export.header("authorization")), ("/v1/traces", "Bearer collector-token"));
    assert_eq!((export.header("x-scope"), export.header("content-encoding")), ("relay", "gzip"));
    relay.wait_for_metric("spans_total", &[("outcome", "exported")], 4).await;
    assert!(!log.contains("collector-token"), "{log}");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_after_a_crash_is_in_the_same_trace() {
    let collector = Collector::start().await;
    let receiver = Receiver::always(Answer::status(503)).await;
    let mut relay =
        collector.of(Setup::to(&receiver, "retry: { first: 5ms, max: 50ms, attempts: 1000 }, circuit: { failures: 1000 }")).start().await;
    let event = relay.webhook(reveal(1)).accepted().await;
    collector.wait_for(4).await;
    relay.kill();
    let before: BTreeSet<String> = collector.spans().into_iter().map(|span| span.id).collect();
    receiver.become_always(Answer::status(200));
    relay.start_again().await;
    let delivered = eventually("the attempt that delivers is told", async || {
        let spans = collector.spans();
        spans.into_iter().find(|span| span.attributes.get("wiza_relay.result").is_some_and(|result| result == "delivered"))
    })
    .await;
    assert!(!before.contains(&delivered.id));
    assert_eq!((delivered.trace.clone(), delivered.parent.clone()), (trace(&event), receipt(&event)));
    let last = receiver.requests().pop().unwrap();
    assert_eq!(given(&last), (delivered.trace, delivered.id, "01".to_owned()));
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_s_trace_a_repetition_and_a_refusal_are_told() {
    let collector = Collector::start().await;
    let receiver = Receiver::start().await;
    let relay = collector.of(Setup::to(&receiver, "")).start().await;
    let senders = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let event = relay.webhook(reveal(1)).header("traceparent", senders).accepted().await;
    let spans = collector.wait_for(3).await;
    let [webhook] = of_kind(&spans, SpanKind::Server)[..] else { panic!("{spans:#?}") };
    // Whoever sends does not say in which trace an event is, nor whether it is recorded.
    assert_eq!(webhook.trace, trace(&event));
    assert_eq!(webhook.links, [("4bf92f3577b34da6a3ce929d0e0e4736".to_owned(), "00f067aa0ba902b7".to_owned())]);

    let repeated = relay.webhook(reveal(1)).header("traceparent", "00-nonsense").send().await;
    assert_eq!(repeated.word(), "duplicate");
    let spans = collector.wait_for(5).await;
    let webhook =
        spans.iter().find(|span| span.attributes.get("wiza_relay.outcome").is_some_and(|outcome| outcome == "duplicate")).unwrap();
    assert_ne!(webhook.trace, trace(&event));
    assert_eq!((webhook.attribute("wiza_relay.event.id"), &webhook.links), (event.as_str(), &vec![(trace(&event), receipt(&event))]));

    let quarantined = relay.webhook("[1]").send().await;
    assert_eq!(quarantined.status, 400);
    let spans = collector.wait_for(7).await;
    let outcomes: Vec<&str> = of_kind(&spans, SpanKind::Server).iter().map(|span| span.attribute("wiza_relay.outcome")).collect();
    assert_eq!(outcomes, ["accepted", "duplicate", "invalid"]);
    // A wrong key is counted, and no more.
    assert_eq!(relay.webhook(reveal(2)).auth_key(Some("wrong")).send().await.status, 401);
    relay.webhook(reveal(3)).accepted().await;
    let spans = collector.wait_for(10).await;
    assert_eq!(of_kind(&spans, SpanKind::Server).len(), 4, "{spans:#?}");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_links_to_the_traces_of_what_it_carries() {
    let collector = Collector::start().await;
    let receiver = Receiver::start().await;
    let mut relay = collector.of(Setup::to(&receiver, "batch: { max: 3, every: 60s }")).start().await;
    let mut events = Vec::new();
    for number in 0..3 {
        events.push(relay.webhook(reveal(number)).accepted().await);
    }
    let spans = collector.wait_for(7).await;
    let [attempt] = of_kind(&spans, SpanKind::Client)[..] else { panic!("{spans:#?}") };
    let (trace_id, id, flags) = given(&receiver.requests()[0]);
    assert_eq!((&trace_id, &id, flags.as_str()), (&attempt.trace, &attempt.id, "01"));
    assert_eq!((attempt.attribute("wiza_relay.batch.size"), &attempt.trace), ("3", &trace(&events[0])));
    let members: Vec<(String, String)> = events.iter().map(|event| (trace(event), receipt(event))).collect();
    assert_eq!(attempt.links, members);
    assert_eq!(relay.terminate().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_where_nobody_asked() {
    let collector = Collector::start().await;
    let url = collector.receiver.url("");
    let not_asked: [&[(&str, &str)]; 4] = [
        &[("OTEL_SERVICE_NAME", "relay"), ("OTEL_EXPORTER_OTLP_HEADERS", "a=b")],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), ("OTEL_SDK_DISABLED", "true")],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), ("OTEL_TRACES_EXPORTER", "none")],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")],
    ];
    for variables in not_asked {
        let receiver = Receiver::start().await;
        let setup = variables.iter().fold(Setup::to(&receiver, ""), |setup, (name, value)| setup.env(name, value));
        let relay = setup.env("OTEL_BSP_SCHEDULE_DELAY", "1").start().await;
        let event = relay.webhook(reveal(1)).accepted().await;
        let (trace_id, _, flags) = given(&receiver.wait_for(1).await[0]);
        assert_eq!((trace_id, flags.as_str()), (trace(&event), "00"), "{variables:?}");
        relay.finish().await;
        assert_eq!(collector.receiver.count(), 0, "{variables:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_traces_is_recorded_whole_or_not_at_all() {
    let collector = Collector::start().await;
    let receiver = Receiver::start().await;
    let setup = collector.of(Setup::to(&receiver, "")).env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
    let mut relay = setup.env("OTEL_TRACES_SAMPLER_ARG", "0.5").start().await;
    for number in 0..60 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 60).await;
    assert_eq!(relay.terminate().await.code(), Some(0), "{}", relay.log());
    let spans = collector.spans();
    let requests = receiver.requests();
    let sampled: BTreeSet<String> = requests.iter().map(given).filter(|(.., flags)| flags == "01").map(|(trace, ..)| trace).collect();
    // Wrong once in 10^18 runs.
    assert!((1..60).contains(&sampled.len()), "{sampled:?}");
    let recorded: BTreeSet<String> = spans.iter().map(|span| span.trace.clone()).collect();
    assert_eq!(recorded, sampled);
    assert_eq!(spans.len(), 3 * sampled.len(), "each has all of its spans, the last ones from the relay's end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_down_hangs_or_refuses_harms_no_delivery() {
    let hanging = Receiver::always(Answer::Hang).await;
    let refusing = Receiver::always(Answer::status(400).body("no more of these")).await;
    let endless = Receiver::always(Answer::EndlessBody(200)).await;
    for (name, url) in [
        ("gone", "http://127.0.0.1:9".to_owned()),
        ("hanging", hanging.url("")),
        ("refusing", refusing.url("")),
        ("endless", endless.url("")),
    ] {
        let receiver = Receiver::start().await;
        let setup = Setup::to(&receiver, "").env("OTEL_EXPORTER_OTLP_ENDPOINT", &url).env("OTEL_BSP_SCHEDULE_DELAY", "1");
        let mut relay = setup.env("OTEL_BSP_MAX_QUEUE_SIZE", "5").flag("grace", "2s").start().await;
        for number in 0..20 {
            relay.webhook(reveal(number)).accepted().await;
        }
        relay.wait_for_outcome("delivered", 20).await;
        relay.metrics().await.assert_conserved();
        // Within PATIENCE, which is far less than what a request may take here times the batches that wait.
        assert_eq!(relay.terminate().await.code(), Some(0), "{name}: {}", relay.log());
        relay.assert_everything_arrived();
        let log = relay.log();
        assert!(log.contains("stopped") && !log.contains("panicked"), "{name}: {log}");
        let complaints = log.lines().filter(|line| line.contains("spans could not be exported")).count();
        // Those that say nothing may be given up at the very end, with or without a word.
        assert!(complaints == 1 || complaints == 0 && matches!(name, "hanging" | "endless"), "{name}: {log}");
        assert!(!log.contains("v1/traces") && !log.contains("no more of these"), "{name}: {log}");
    }
    assert!(refusing.count() > 0 && hanging.count() > 0 && endless.count() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_that_nobody_takes_are_counted_and_others_come_through_later() {
    let collector = Collector::start().await;
    collector.become_always(Answer::Hang);
    let receiver = Receiver::start().await;
    let setup = collector.of(Setup::to(&receiver, "")).env("OTEL_BSP_MAX_QUEUE_SIZE", "6").env("OTEL_EXPORTER_OTLP_TIMEOUT", "1000");
    let relay = setup.start().await;
    for number in 0..10 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 10).await;
    let count = async |outcome| relay.metric("spans_total", &[("outcome", outcome)]).await;
    eventually("no span is on its way", async || (count("dropped").await + count("failed").await == 30).then_some(())).await;
    assert!(count("dropped").await > 0 && count("failed").await > 0);
    collector.become_always(Answer::status(200));
    let event = relay.webhook(reveal(10)).accepted().await;
    let spans = collector.wait_for(3).await;
    assert!(spans.iter().all(|span| span.trace == trace(&event)), "{spans:#?}");
    relay.wait_for_metric("spans_total", &[("outcome", "exported")], 3).await;
    eventually("the log says so", async || relay.log().contains("exported again").then_some(())).await;
    let log = relay.log();
    for said in ["no answer within 1s", "spans are dropped", "spans are exported again"] {
        assert_eq!(log.lines().filter(|line| line.contains(said)).count(), 1, "{said}: {log}");
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_that_a_collector_refuses_of_a_request_are_counted_as_lost() {
    let collector = Collector::start().await;
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "over the quota of token s3cret".to_owned() };
    let answer = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    collector.become_always(Answer::status(200).body(answer));
    let receiver = Receiver::start().await;
    // All three in one request.
    let setup = collector.of(Setup::to(&receiver, "")).env("OTEL_BSP_SCHEDULE_DELAY", "3600000").env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "3");
    let relay = setup.start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_metric("spans_total", &[("outcome", "failed")], 2).await;
    assert_eq!(collector.receiver.count(), 1);
    assert_eq!(relay.metric("spans_total", &[("outcome", "exported")]).await, 1);
    eventually("the log says so", async || relay.log().contains("refused spans of it").then_some(())).await;
    assert!(!relay.log().contains("s3cret"), "{}", relay.log());
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_ends_it_at_once_and_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("routes.yaml");
    std::fs::write(&rules, one_destination("http://127.0.0.1:9/", "")).unwrap();
    for (name, value, said) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`, which is not spoken here; write `http/protobuf`"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "OTEL_TRACES_SAMPLER is `jaeger_remote`"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret", "OTEL_EXPORTER_OTLP_HEADERS: part 1 is not of the form name=value"),
    ] {
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"), (name, value)];
        let ran = run_with(&["serve", "--config", &rules.display().to_string()], &variables).await;
        ran.assert_refused(2, &[said]);
        assert!(!ran.error.contains("s3cret"), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_waits_for_the_last_spans_but_not_for_long() {
    let collector = Collector::start().await;
    let receiver = Receiver::start().await;
    // They would wait for an hour.
    let setup = collector.of(Setup::to(&receiver, "")).env("OTEL_BSP_SCHEDULE_DELAY", "3600000");
    let mut relay = setup.start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    assert_eq!(collector.receiver.count(), 0);
    collector.become_always(Answer::status(200).after(Duration::from_millis(200)));
    assert_eq!(relay.terminate().await.code(), Some(0), "{}", relay.log());
    assert_eq!(collector.spans().len(), 3);
    assert!(!relay.log().contains("not all spans"), "{}", relay.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_behind_tls_is_trusted_by_its_authority_and_knows_the_relay_by_its_certificate() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: &str| write(folder.path(), name, pem).display().to_string();
    let issued = authority.issue(&["relay"]);
    let (ca, certificate, key) =
        (file("ca.pem", &authority.pem()), file("client.pem", &issued.certificate), file("client.key", &issued.key));
    let collector = Collector::secure(Authority::serve(&authority.issue(&["127.0.0.1"]), Some(&authority))).await;
    let receiver = Receiver::start().await;
    let trusting = || collector.of(Setup::to(&receiver, "")).env("OTEL_EXPORTER_OTLP_CERTIFICATE", &ca);
    let known = trusting().env("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &certificate).env("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key);
    let relay = known.start().await;
    let event = relay.webhook(reveal(1)).accepted().await;
    let spans = collector.wait_for(3).await;
    assert!(spans.iter().all(|span| span.trace == trace(&event)), "{spans:#?}");
    relay.finish().await;

    // It neither trusts everybody nor shows what it was not given.
    for stranger in [trusting(), collector.of(Setup::to(&receiver, ""))] {
        let relay = stranger.start().await;
        relay.webhook(reveal(1)).accepted().await;
        eventually("the refusal is told", async || relay.log().contains("spans could not be exported").then_some(())).await;
        relay.finish().await;
    }
    assert_eq!(collector.spans().len(), 3);
}
