//! A collector: takes OTLP over HTTP, as the real ones do, and decodes what it is sent.

use std::collections::BTreeMap;
use std::io::Read as _;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1;
use prost::Message as _;

use super::receiver::{Receiver, Request};
use super::{Answer, Setup, eventually};

/// Takes spans.
pub struct Collector {
    pub receiver: Receiver,
}

/// A span as it was told.
#[derive(Clone, Debug)]
pub struct Span {
    /// In hex, as all ids.
    pub trace: String,
    pub id: String,
    /// Empty where it has none.
    pub parent: String,
    pub name: String,
    pub kind: v1::span::SpanKind,
    /// Nanoseconds since 1970.
    pub times: (u64, u64),
    pub attributes: BTreeMap<String, String>,
    /// Trace and span.
    pub links: Vec<(String, String)>,
    pub failed: Option<String>,
    pub resource: BTreeMap<String, String>,
}

impl Span {
    /// An attribute's value; fails the test if it is not there.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).unwrap_or_else(|| panic!("no {name} in {self:#?}"))
    }
}

impl Collector {
    /// Takes everything.
    pub async fn start() -> Self {
        Self { receiver: Receiver::start().await }
    }

    /// Takes everything, over TLS.
    pub async fn secure(tls: rustls::ServerConfig) -> Self {
        Self { receiver: Receiver::secure(tls).await }
    }

    /// Makes a relay send its spans here, and not let them wait.
    pub fn of(&self, setup: Setup) -> Setup {
        setup.env("OTEL_EXPORTER_OTLP_ENDPOINT", &self.receiver.url("")).env("OTEL_BSP_SCHEDULE_DELAY", "20")
    }

    /// All spans so far, in the order in which they came.
    pub fn spans(&self) -> Vec<Span> {
        self.receiver.requests().iter().filter(|request| request.answered == Some(200)).flat_map(spans).collect()
    }

    /// Waits for so many spans, and returns all.
    pub async fn wait_for(&self, count: usize) -> Vec<Span> {
        eventually(&format!("{count} spans at the collector"), async || {
            let spans = self.spans();
            (spans.len() >= count).then_some(spans)
        })
        .await
    }

    /// Lets it fail, as far as a collector can.
    pub fn become_always(&self, answer: Answer) {
        self.receiver.become_always(answer);
    }
}

fn spans(request: &Request) -> Vec<Span> {
    assert_eq!((request.method.as_str(), request.header("content-type")), ("POST", "application/x-protobuf"));
    let mut body = request.body.clone();
    if request.find_header("content-encoding") == Some("gzip") {
        let mut inflated = Vec::new();
        flate2::read::GzDecoder::new(&*body).read_to_end(&mut inflated).unwrap();
        body = inflated;
    }
    let message = ExportTraceServiceRequest::decode(&*body).unwrap();
    let mut found = Vec::new();
    for of_resource in message.resource_spans {
        let resource = attributes(&of_resource.resource.unwrap().attributes);
        let all = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        found.extend(all.map(|span| told(&span, &resource)));
    }
    found
}

fn told(span: &v1::Span, resource: &BTreeMap<String, String>) -> Span {
    Span {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name.clone(),
        kind: span.kind(),
        times: (span.start_time_unix_nano, span.end_time_unix_nano),
        attributes: attributes(&span.attributes),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        failed: span.status.as_ref().filter(|status| status.code() == v1::status::StatusCode::Error).map(|status| status.message.clone()),
        resource: resource.clone(),
    }
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => panic!("{}: {other:?}", attribute.key),
    };
    all.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
