//! What OpenTelemetry's variables say. They are read here, and not left to the SDK, because that takes what it cannot read
//! for not being there.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

use super::sampling::Sampling;
use crate::config::Tls;

/// Where spans go by the specification, if they are asked for and nothing is said of where.
const ENDPOINT_DEFAULT: &str = "http://localhost:4318";
/// What follows an endpoint that is given for all signals.
const TRACES_PATH: &str = "v1/traces";
/// The port on which collectors speak gRPC, by custom.
const GRPC_PORT: u16 = 4317;
/// The most spans that may wait: a gigabyte or so.
const QUEUE_MAX: usize = 1_000_000;
/// The longest of the times: a typing error, beyond it.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// Where spans are sent, and which.
#[derive(Debug)]
pub struct Settings {
    pub(super) endpoint: Url,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) timeout: Duration,
    pub(super) gzip: bool,
    pub(super) tls: Tls,
    pub(super) sampling: Sampling,
    pub(super) resource: Vec<(String, String)>,
    pub(super) queue_spans_max: usize,
    pub(super) batch_spans_max: usize,
    pub(super) delay: Duration,
}

impl Settings {
    /// Reads the variables; `None` where they ask for no traces.
    ///
    /// # Errors
    /// The variable that cannot be followed, what is wrong with it, and what to write instead.
    pub fn from_variables(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let variables = Variables(lookup);
        if !variables.ask_for_traces()? {
            return Ok(None);
        }
        variables.protocol()?;
        let queue_spans_max = variables.number("OTEL_BSP_MAX_QUEUE_SIZE", 2048, QUEUE_MAX)?;
        let batch_spans_max = variables.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512.min(queue_spans_max), queue_spans_max)?;
        let timeout = variables.time(variables.name_of("TIMEOUT"), 10_000)?.min(variables.time("OTEL_BSP_EXPORT_TIMEOUT", 30_000)?);
        Ok(Some(Self {
            endpoint: variables.endpoint()?,
            headers: variables.headers()?,
            timeout,
            gzip: variables.gzip()?,
            tls: variables.tls()?,
            sampling: variables.sampling()?,
            resource: variables.resource()?,
            queue_spans_max,
            batch_spans_max,
            delay: variables.time("OTEL_BSP_SCHEDULE_DELAY", 5000)?,
        }))
    }

    /// Host and port, as they may be shown: the rest of a URL can hold a token.
    pub fn collector(&self) -> String {
        let host = self.endpoint.host_str().unwrap_or_default();
        format!("{host}:{}", self.endpoint.port_or_known_default().unwrap_or_default())
    }

    /// Whether the address looks like that of another protocol's.
    pub fn looks_like_grpc(&self) -> bool {
        self.endpoint.port() == Some(GRPC_PORT)
    }
}

struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    /// An empty variable is as good as none, by the specification.
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A word of a closed list, in whatever case it was written.
    fn word(&self, name: &str) -> Option<String> {
        self.get(name).map(|word| word.to_ascii_lowercase())
    }

    /// The name under which one of the exporter's settings is given: for traces, or else for all signals.
    fn name_of(&self, setting: &'static str) -> &'static str {
        let (of_traces, of_all) = match setting {
            "ENDPOINT" => ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
            "PROTOCOL" => ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"),
            "HEADERS" => ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"),
            "TIMEOUT" => ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"),
            "COMPRESSION" => ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"),
            "CERTIFICATE" => ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
            "CLIENT_KEY" => ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"),
            _ => ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
        };
        if self.get(of_traces).is_some() { of_traces } else { of_all }
    }

    fn ask_for_traces(&self) -> Result<bool, String> {
        if self.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(false);
        }
        match self.word("OTEL_TRACES_EXPORTER").as_deref() {
            None => Ok(self.get(self.name_of("ENDPOINT")).is_some()),
            Some("otlp") => Ok(true),
            Some("none") => Ok(false),
            Some(other) => Err(format!("OTEL_TRACES_EXPORTER is `{other}`; traces are exported by `otlp`, or not at all by `none`")),
        }
    }

    fn protocol(&self) -> Result<(), String> {
        let name = self.name_of("PROTOCOL");
        match self.word(name).as_deref() {
            None | Some("http/protobuf") => Ok(()),
            Some("grpc") => Err(format!(
                "{name} is `grpc`, which is not spoken here; write `http/protobuf`, and in the endpoint the port where the collector takes OTLP over HTTP, as a rule 4318"
            )),
            Some(other) => Err(format!("{name} is `{other}`, which is not spoken here; write `http/protobuf`")),
        }
    }

    fn endpoint(&self) -> Result<Url, String> {
        let name = self.name_of("ENDPOINT");
        let text = self.get(name).unwrap_or_else(|| ENDPOINT_DEFAULT.to_owned());
        // Whoever wrote a password or a token into it does not want to see it in a log.
        let shown = if text.contains(['@', '?']) { "what it holds".to_owned() } else { format!("`{text}`") };
        let hint = "write the collector's address, as in `http://collector:4318`";
        let mut url = Url::parse(&text).map_err(|error| format!("{name}: {shown} is no URL ({error}); {hint}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("{name}: {shown} begins with neither http:// nor https://; {hint}"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!("{name} holds a user; write `authorization=Basic%20...` into OTEL_EXPORTER_OTLP_HEADERS instead"));
        }
        if name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
            let path = format!("{}/{TRACES_PATH}", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        Ok(url)
    }

    fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let name = self.name_of("HEADERS");
        let mut headers = Vec::new();
        for (place, (key, value)) in self.pairs(name, "api-key=...")?.into_iter().enumerate() {
            let wrong = |what| format!("{name}: the {what} of header {} has a character that cannot stand in one", place + 1);
            let key = HeaderName::try_from(key).map_err(|_| wrong("name"))?;
            let mut value = HeaderValue::try_from(value).map_err(|_| wrong("value"))?;
            value.set_sensitive(true);
            headers.push((key, value));
        }
        Ok(headers)
    }

    fn resource(&self) -> Result<Vec<(String, String)>, String> {
        let mut attributes = vec![
            ("service.name".to_owned(), env!("CARGO_PKG_NAME").to_owned()),
            ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ];
        // Of one name the last counts.
        attributes.extend(self.pairs("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=production")?);
        attributes.extend(self.get("OTEL_SERVICE_NAME").map(|name| ("service.name".to_owned(), name)));
        Ok(attributes)
    }

    /// `name=value,name=value`, values percent-encoded. A value may be a secret, so none is shown.
    fn pairs(&self, name: &str, example: &str) -> Result<Vec<(String, String)>, String> {
        let text = self.get(name).unwrap_or_default();
        let pair = |(place, part): (usize, &str)| match part.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok((decoded(key.trim()), decoded(value.trim()))),
            _ => Err(format!("{name}: part {} is not of the form name=value; write `{example}`, with commas between", place + 1)),
        };
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).enumerate().map(pair).collect()
    }

    fn gzip(&self) -> Result<bool, String> {
        let name = self.name_of("COMPRESSION");
        match self.word(name).as_deref() {
            None | Some("none") => Ok(false),
            Some("gzip") => Ok(true),
            Some(other) => Err(format!("{name} is `{other}`; write `gzip` or `none`")),
        }
    }

    fn tls(&self) -> Result<Tls, String> {
        let file = |setting| {
            let name = self.name_of(setting);
            self.get(name).map(|path| (name, path))
        };
        let (cert, key) = (file("CLIENT_CERTIFICATE"), file("CLIENT_KEY"));
        match (&cert, &key) {
            (Some((name, _)), None) => return Err(format!("{name} is set and OTEL_EXPORTER_OTLP_CLIENT_KEY is not; it needs both")),
            (None, Some((name, _))) => {
                return Err(format!("{name} is set and OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE is not; it needs both"));
            }
            _ => {}
        }
        let mut tls = Tls::default();
        if let Some((name, path)) = file("CERTIFICATE") {
            tls.trust(path.as_ref()).map_err(|error| format!("{name}: `{path}` {error}"))?;
        }
        if let (Some((cert_name, cert)), Some((_, key))) = (cert, key) {
            let said = |error| format!("{cert_name}, or the key with it: {error}");
            tls.identify(cert.as_ref(), key.as_ref()).map_err(said)?;
        }
        Ok(tls)
    }

    fn sampling(&self) -> Result<Sampling, String> {
        let Some(sampler) = self.word("OTEL_TRACES_SAMPLER") else { return Ok(Sampling::All) };
        // Every event begins a trace of its own, so there is no parent to go by.
        match sampler.strip_prefix("parentbased_").unwrap_or(&sampler) {
            "always_on" => Ok(Sampling::All),
            "always_off" => Ok(Sampling::Nothing),
            "traceidratio" => {
                let Some(share) = self.get("OTEL_TRACES_SAMPLER_ARG") else { return Ok(Sampling::All) };
                match share.parse::<f64>() {
                    Ok(number) if (0.0..=1.0).contains(&number) => Ok(Sampling::share(number)),
                    _ => {
                        Err(format!("OTEL_TRACES_SAMPLER_ARG is `{share}`; write the share of traces to record, from 0 to 1, as in `0.1`"))
                    }
                }
            }
            _ => Err(format!(
                "OTEL_TRACES_SAMPLER is `{sampler}`; write `always_on`, `always_off` or `traceidratio`, or one of these with `parentbased_` before it"
            )),
        }
    }

    fn number(&self, name: &str, default: usize, max: usize) -> Result<usize, String> {
        let Some(text) = self.get(name) else { return Ok(default) };
        match text.parse() {
            Ok(number) if (1..=max).contains(&number) => Ok(number),
            _ => Err(format!("{name} is `{text}`; write a number of spans from 1 to {max}")),
        }
    }

    fn time(&self, name: &str, default: u64) -> Result<Duration, String> {
        let Some(text) = self.get(name) else { return Ok(Duration::from_millis(default)) };
        match text.parse().map(Duration::from_millis) {
            Ok(time) if !time.is_zero() && time <= TIME_MAX => Ok(time),
            _ => Err(format!("{name} is `{text}`; write milliseconds, from 1 to {}", TIME_MAX.as_millis())),
        }
    }
}

/// Without percent-encoding; what is none, or would be no text, stays.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests;
