//! From finished spans to the collector: the SDK's thread and queue, with a limit that is kept and losses that are counted.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Compression, Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor as _};
use prost::Message as _;
use tokio::runtime::Handle;

use super::settings::Settings;
use crate::metrics::{Metrics, SpanOutcome};
use crate::send::Collector;

/// While a collector does not take spans, or not all, the log says so this often.
const REMINDER_INTERVAL: Duration = Duration::from_secs(60);

/// Hands spans over to a thread that exports them.
#[derive(Debug)]
pub(super) struct Export {
    processor: BatchSpanProcessor,
    queue: Arc<Queue>,
}

/// What is between a span's end and its export.
struct Queue {
    /// Spans handed over whose export has not ended: what waits, and what is on its way.
    pending: AtomicUsize,
    spans_max: usize,
    /// When the log last said that spans are dropped.
    said_dropped: Mutex<Option<Instant>>,
    lost: AtomicUsize,
    metrics: Arc<Metrics>,
}

impl Export {
    /// Begins. To be called within a runtime, on which the requests are made.
    pub fn start(settings: Settings, metrics: Arc<Metrics>) -> Result<Self, String> {
        let Settings { endpoint, headers, timeout, gzip, tls, resource, queue_spans_max, batch_spans_max, delay, .. } = settings;
        let last = Arc::new(Mutex::new(Answered::default()));
        let client = Client {
            collector: Collector::new(timeout, &tls).map_err(|error| error.to_string())?,
            runtime: Handle::current(),
            last: Arc::clone(&last),
        };
        let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let mut builder = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_timeout(timeout)
            .with_headers(headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect())
            .with_http_client(client);
        if gzip {
            builder = builder.with_compression(Compression::Gzip);
        }
        let exporter = builder.build().map_err(|error| error.to_string())?;
        let queue = Arc::new(Queue {
            pending: AtomicUsize::new(0),
            spans_max: queue_spans_max,
            said_dropped: Mutex::new(None),
            lost: AtomicUsize::new(0),
            metrics,
        });
        let exporter = Exporter { inner: exporter, queue: Arc::clone(&queue), last, reminded: Mutex::new(None) };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(queue_spans_max)
            .with_max_export_batch_size(batch_spans_max)
            .with_scheduled_delay(delay)
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let attributes = resource.into_iter().map(|(name, value)| KeyValue::new(name, value));
        let resource = Resource::builder_empty().with_detector(Box::new(TelemetryResourceDetector)).with_attributes(attributes).build();
        processor.set_resource(&resource);
        Ok(Self { processor, queue })
    }

    /// Hands a finished span over, or drops it where too many wait. Never waits.
    pub fn take(&self, span: SpanData) {
        let Queue { pending, spans_max, said_dropped, .. } = &*self.queue;
        if pending.fetch_add(1, Ordering::Relaxed) >= *spans_max {
            pending.fetch_sub(1, Ordering::Relaxed);
            self.queue.lose(SpanOutcome::Dropped, 1);
            let mut said = said_dropped.lock().unwrap_or_else(PoisonError::into_inner);
            if said.is_none_or(|at| at.elapsed() >= REMINDER_INTERVAL) {
                *said = Some(Instant::now());
                tracing::warn!(
                    spans_max,
                    "spans are dropped: more come than the collector takes; raise OTEL_BSP_MAX_QUEUE_SIZE or record fewer traces"
                );
            }
            return;
        }
        self.processor.on_end(span);
    }

    /// Exports what waits, for at most this time. Blocks.
    pub fn stop(&self, at_most: Duration) {
        let _ = self.processor.shutdown_with_timeout(at_most);
        let waiting = self.queue.pending.load(Ordering::Relaxed);
        let lost = self.queue.lost.load(Ordering::Relaxed) + waiting;
        if lost > 0 {
            tracing::warn!(spans = lost, "not all spans were exported since the start");
        }
    }
}

impl Queue {
    fn lose(&self, outcome: SpanOutcome, count: usize) {
        self.metrics.spans(outcome, count);
        self.lost.fetch_add(count, Ordering::Relaxed);
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("pending", &self.pending).field("spans_max", &self.spans_max).finish_non_exhaustive()
    }
}

/// What became of the last request.
#[derive(Debug, Default)]
struct Answered {
    /// Why there was no answer.
    failure: Option<String>,
    /// Spans that the collector refused, though it took the request (OTLP's partial success).
    refused: usize,
}

/// The exporter for OTLP, and what becomes of each batch.
#[derive(Debug)]
struct Exporter {
    inner: opentelemetry_otlp::SpanExporter,
    queue: Arc<Queue>,
    last: Arc<Mutex<Answered>>,
    /// When the log last said that spans are not taken; `None` while they are.
    reminded: Mutex<Option<Instant>>,
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        self.queue.pending.fetch_sub(spans, Ordering::Relaxed);
        let Answered { failure, refused } = std::mem::take(&mut *self.last.lock().unwrap_or_else(PoisonError::into_inner));
        let (lost, error) = match &result {
            // Its reason is not told: a collector may echo what it was sent, tokens too.
            Ok(()) => (refused.min(spans), (refused > 0).then(|| "the collector took the request and refused spans of it".to_owned())),
            Err(error) => (spans, Some(failure.unwrap_or_else(|| error.to_string()))),
        };
        self.queue.metrics.spans(SpanOutcome::Exported, spans - lost);
        if lost > 0 {
            self.queue.lose(SpanOutcome::Failed, lost);
        }
        let mut reminded = self.reminded.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            None if reminded.take().is_some() => tracing::info!("spans are exported again"),
            None => {}
            Some(error) if reminded.is_none_or(|at| at.elapsed() >= REMINDER_INTERVAL) => {
                tracing::warn!(error, spans = lost, "spans could not be exported and are lost; deliveries go on");
                *reminded = Some(Instant::now());
            }
            Some(_) => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Makes the exporter's requests. The exporter runs on a thread of its own, the client in the runtime.
struct Client {
    collector: Collector,
    runtime: Handle,
    last: Arc<Mutex<Answered>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl HttpClient for Client {
    fn send_bytes<'life, 'future>(&'life self, request: Request<Bytes>) -> BoxFuture<'future, Result<Response<Bytes>, HttpError>>
    where
        'life: 'future,
        Self: 'future,
    {
        let collector = self.collector.clone();
        let answer = self.runtime.spawn(async move { collector.post(request).await });
        Box::pin(async move {
            let answered = answer.await.map_err(|_| "the relay is stopping".to_owned()).flatten();
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
                Answered { failure: answered.as_ref().err().cloned(), refused: answered.as_ref().map_or(0, refused) };
            answered.map_err(HttpError::from)
        })
    }
}

/// How many spans an answer refuses.
fn refused(answer: &Response<Bytes>) -> usize {
    let told = ExportTraceServiceResponse::decode(&**answer.body()).unwrap_or_default();
    told.partial_success.map_or(0, |partial| usize::try_from(partial.rejected_spans).unwrap_or(0))
}
