//! Hostile text as a routes.yaml: loaded, every finding shown, and where it is valid an event is taken through it.

#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use wiza_relay::config;
use wiza_relay::event::{Event, EventId};
use wiza_relay::explain;

const SAMPLE: &[u8] = include_bytes!("../../samples/full.json");
const SECRET: &str = "s3cret-value";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // No files: what they hold is not the input's.
    if text.contains("file:") {
        return;
    }
    let lookup = |name: &str| (name.len() % 2 == 0).then(|| SECRET.to_owned());
    let loaded = config::load("routes.yaml", text, &lookup);
    assert!(loaded.config.is_some() || !loaded.findings.is_empty(), "refused without a reason");
    let lines = text.split('\n').count();
    for finding in &loaded.findings {
        assert!((1..=lines).contains(&finding.line) && finding.column >= 1, "{finding:?}");
        let shown = finding.render(text, true);
        assert!(text.contains(SECRET) || !shown.contains(SECRET), "a secret is shown: {shown}");
        assert!(!finding.render(text, false).contains('\u{1b}'));
    }
    let Some(config) = loaded.config else { return };
    let now = Timestamp::UNIX_EPOCH;
    let event = Event::new(EventId::new(now), now, "emea".into(), "campaign=q4".into(), Bytes::from_static(SAMPLE));
    let explained = explain::explain(&config, &Arc::new(event), now);
    assert_eq!(explained.routes.len(), config.routes.len());
});
