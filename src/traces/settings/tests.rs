use super::*;

fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
    let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Settings::from_variables(&lookup)
}

fn on(variables: &[(&str, &str)]) -> Settings {
    read(variables).unwrap().expect("traces were not asked for")
}

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

#[test]
fn traces_are_recorded_only_where_they_are_asked_for() {
    for off in [
        &[][..],
        &[("OTEL_SERVICE_NAME", "relay"), ("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
        &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")],
        &[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "nonsense")],
        // Who disables them is not told of the rest.
        &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
    ] {
        assert!(read(off).unwrap().is_none(), "{off:?}");
    }
    for (variables, endpoint) in [
        (&[ENDPOINT][..], "http://collector:4318/v1/traces"),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector/otlp/")], "https://collector/otlp/v1/traces"),
        (&[ENDPOINT, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://tempo:3200/")], "http://tempo:3200/"),
        (&[("OTEL_TRACES_EXPORTER", "otlp")], "http://localhost:4318/v1/traces"),
        (&[ENDPOINT, ("OTEL_SDK_DISABLED", "false")], "http://collector:4318/v1/traces"),
    ] {
        assert_eq!(on(variables).endpoint.as_str(), endpoint);
    }
}

#[test]
fn what_is_said_is_taken() {
    let defaults = on(&[ENDPOINT]);
    assert_eq!((defaults.queue_spans_max, defaults.batch_spans_max), (2048, 512));
    assert_eq!((defaults.timeout, defaults.delay), (Duration::from_secs(10), Duration::from_secs(5)));
    assert_eq!((defaults.gzip, defaults.sampling), (false, Sampling::All));
    assert_eq!(defaults.resource[0], ("service.name".to_owned(), "wiza-relay".to_owned()));

    let settings = on(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector:1234/x"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20token=, x-scope = a%2Cb ,"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "9000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "700"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZip"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OTEL_SERVICE_NAME", "relay-emea"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,team=revenue%20operations,odd=100%"),
    ]);
    let header = |place: usize| (settings.headers[place].0.as_str(), settings.headers[place].1.to_str().unwrap());
    assert_eq!((header(0), header(1)), (("authorization", "Bearer token="), ("x-scope", "a,b")));
    assert!(settings.headers.iter().all(|(_, value)| value.is_sensitive()));
    assert_eq!((settings.timeout, settings.delay), (Duration::from_millis(700), Duration::from_millis(50)));
    assert_eq!((settings.queue_spans_max, settings.batch_spans_max, settings.gzip), (100, 100, true));
    assert_eq!((settings.sampling, settings.collector().as_str()), (Sampling::share(0.25), "collector:1234"));
    let attribute = |name: &str| settings.resource.iter().rfind(|(known, _)| known == name).unwrap().1.as_str();
    assert_eq!((attribute("service.name"), attribute("team"), attribute("odd")), ("relay-emea", "revenue operations", "100%"));
}

#[test]
fn what_cannot_be_followed_is_told_with_the_fix() {
    for (variable, said) in [
        (("OTEL_TRACES_EXPORTER", "zipkin"), "OTEL_TRACES_EXPORTER is `zipkin`; traces are exported by `otlp`, or not at all by `none`"),
        (("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), "write `http/protobuf`, and in the endpoint the port"),
        (("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"), "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is `http/json`"),
        (("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318"), "begins with neither http:// nor https://"),
        (("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector"), "`collector` is no URL"),
        (("OTEL_EXPORTER_OTLP_HEADERS", "a=b,secret"), "OTEL_EXPORTER_OTLP_HEADERS: part 2 is not of the form name=value"),
        (("OTEL_EXPORTER_OTLP_HEADERS", "se cret=b"), "the name of header 1 has a character"),
        (("OTEL_EXPORTER_OTLP_HEADERS", "a=secret%0A"), "the value of header 1 has a character"),
        (("OTEL_RESOURCE_ATTRIBUTES", "team"), "OTEL_RESOURCE_ATTRIBUTES: part 1"),
        (("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"), "OTEL_EXPORTER_OTLP_TIMEOUT is `10s`; write milliseconds"),
        (("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"), "write `gzip` or `none`"),
        (("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem"), "OTEL_EXPORTER_OTLP_CERTIFICATE: `/nowhere.pem` cannot be read"),
        (("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key.pem"), "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE is not; it needs both"),
        (("OTEL_TRACES_SAMPLER", "sometimes"), "OTEL_TRACES_SAMPLER is `sometimes`"),
        (("OTEL_BSP_MAX_QUEUE_SIZE", "0"), "write a number of spans from 1 to 1000000"),
        (("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096"), "write a number of spans from 1 to 2048"),
        (("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://me:secret@collector:4318/"), "holds a user; write `authorization=Basic"),
        (("OTEL_BSP_SCHEDULE_DELAY", "-1"), "OTEL_BSP_SCHEDULE_DELAY is `-1`"),
    ] {
        let told = read(&[variable, ENDPOINT]).unwrap_err();
        assert!(told.contains(said), "{variable:?}: {told}");
        assert!(!told.contains("secret") && !told.contains("se cret"), "{told}");
    }
    for share in ["", "1.5", "-0.1", "NaN", "ten"] {
        let read = read(&[ENDPOINT, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", share)]);
        assert_eq!(read.is_err(), !share.is_empty(), "{share}");
    }
    for endpoint in ["ftp://me:secret@collector", "collector/v1/traces?token=secret"] {
        let told = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]).unwrap_err();
        assert!(told.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && !told.contains("secret"), "{told}");
    }
}
