//! A sample of each type, for `explain`, for tests of rules and for documents: the files `samples/relay-*.json`.

use super::OwnKind;

/// Each type's sample: its name among the samples, and its text.
pub const SAMPLES: [(OwnKind, &str, &str); OwnKind::ALL.len()] = [
    (OwnKind::CircuitOpened, "relay-circuit-opened", include_str!("../../samples/relay-circuit-opened.json")),
    (OwnKind::CircuitClosed, "relay-circuit-closed", include_str!("../../samples/relay-circuit-closed.json")),
    (OwnKind::DeadLetters, "relay-dead-letters", include_str!("../../samples/relay-dead-letters.json")),
    (OwnKind::QueueOld, "relay-queue-old", include_str!("../../samples/relay-queue-old.json")),
    (OwnKind::RulesRefused, "relay-rules-refused", include_str!("../../samples/relay-rules-refused.json")),
    (OwnKind::StoreTrouble, "relay-store-trouble", include_str!("../../samples/relay-store-trouble.json")),
];

/// The sample with this name, or of this type.
pub fn sample(name: &str) -> Option<&'static str> {
    SAMPLES.iter().find(|(kind, known, _)| *known == name || kind.name() == name).map(|(.., text)| *text)
}

/// The types that have a sample.
pub fn sample_types() -> impl Iterator<Item = &'static str> {
    SAMPLES.iter().map(|(kind, ..)| kind.name())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use serde_json::Value;

    use super::super::news::{Beside, News};
    use super::super::{NULLABLE, OwnKind};
    use super::SAMPLES;
    use crate::event::EventId;

    fn news(kind: OwnKind) -> News {
        let at = |text: &str| -> Timestamp { format!("2026-11-28T{text}Z").parse().unwrap() };
        let id = |last: u8| EventId::from_bytes([0x01, 0x9a, 0xc9, 0x00, 0x51, 0x80, 0x7a, 0x1b, 0x8c, 0x3d, 0, 0, 0, 0, 0, last]);
        let destination = "crm".to_owned();
        match kind {
            OwnKind::CircuitOpened => News::CircuitOpened {
                destination,
                opened_by: "failures",
                reason: "server_error",
                status: Some(503),
                at: at("03:00:05.120"),
                times: 1,
            },
            OwnKind::CircuitClosed => News::CircuitClosed { destination, opened_at: at("03:00:05.120"), at: at("03:47:41.500") },
            OwnKind::DeadLetters => News::DeadLetters {
                destination,
                reason: "client_error",
                detail: "status 422: not worth repeating".to_owned(),
                status: Some(422),
                count: 200,
                events: (id(1), id(2)),
                span: (at("03:00:05.120"), at("03:00:07.000")),
            },
            OwnKind::QueueOld => News::QueueOld {
                destination,
                oldest: at("03:00:05.120"),
                at: at("03:15:06.000"),
                limit: Duration::from_secs(900),
                circuit: "open",
            },
            OwnKind::RulesRefused => {
                News::RulesRefused { reason: "2 errors, the first at routes.yaml:3:7".to_owned(), at: at("09:30:00.000"), times: 1 }
            }
            OwnKind::StoreTrouble => News::StoreTrouble {
                trouble: "disk_nearly_full",
                detail: "the disk has 200 MiB left".to_owned(),
                since: at("03:00:05.120"),
                over_at: None,
            },
        }
    }

    /// Every path of a payload, lists and objects without their own.
    fn paths(value: &Value, before: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let path = if before.is_empty() { name.clone() } else { format!("{before}.{name}") };
                    paths(value, &path, found);
                }
            }
            value => {
                assert!(!value.is_null() || NULLABLE.contains(&before), "{before} is null");
                found.push(before.to_owned());
            }
        }
    }

    #[test]
    fn samples_are_what_the_relay_tells_and_hold_the_known_paths() {
        for (kind, name, text) in SAMPLES {
            let payload = news(kind).payload(Beside { waiting: 2862, rules: "3f2a9c1d7b80" });
            let written = format!("{}\n", serde_json::to_string_pretty(&payload).unwrap());
            if std::env::var_os("UPDATE_EXPECTED").is_some() {
                let file = format!("{}/samples/{name}.json", env!("CARGO_MANIFEST_DIR"));
                std::fs::write(file, &written).unwrap();
            } else {
                assert_eq!(text, written, "{name}: UPDATE_EXPECTED=1 writes it anew");
            }
            let mut found = Vec::new();
            paths(&payload, "", &mut found);
            found.sort_unstable();
            let mut known: Vec<&str> = kind.paths().to_vec();
            known.sort_unstable();
            assert_eq!(found, known, "{name}");
        }
    }
}
