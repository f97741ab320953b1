//! Hostile text as a template: compiled for each use that templates have, and rendered from an event.

#![no_main]

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use wiza_relay::text::Text;
use wiza_relay::event::{Event, EventId};
use wiza_relay::transform::{Escape, RENDERED_BYTES_MAX, RenderContext, Template, Templates};

static CONTEXT: LazyLock<RenderContext> = LazyLock::new(|| {
    let now = Timestamp::UNIX_EPOCH;
    let body = Bytes::from_static(include_bytes!("../../samples/full.json"));
    let event = Event::new(EventId::new(now), now, "emea".into(), "campaign=q4".into(), body);
    RenderContext { event: Arc::new(event), route: "a route".into() }
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for escape in [Escape::None, Escape::Url, Escape::Header] {
        let mut templates = Templates::new();
        match Template::compile(&mut templates, &Text::written(text), escape) {
            Ok(template) => {
                assert_eq!(template.masked(), text);
                if let Ok(rendered) = template.render(&templates, &CONTEXT) {
                    assert!(rendered.len() <= RENDERED_BYTES_MAX.max(text.len()));
                }
            }
            Err(error) => {
                assert!(error.offset <= text.len(), "{error:?}");
                assert!(!error.message.is_empty());
            }
        }
    }
});
