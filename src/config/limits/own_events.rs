//! `own_events`: the limits of what the relay tells of itself. Which of it goes where, routes say.

use std::time::Duration;

use crate::event::EventSource;
use crate::own_events::Limits;

use crate::config::reading::decode::Decoder;
use crate::config::routes::route::Route;
use crate::config::yaml::Node;

/// Shorter ones would be a message a second.
pub(in crate::config) const TIME_MIN: Duration = Duration::from_secs(1);
/// A month: what is told later than that is told by nobody.
pub(in crate::config) const TIME_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(in crate::config) fn decode(decoder: &mut Decoder<'_>, node: &Node) -> Option<Limits> {
    let mut table = decoder.table(node, "`own_events`")?;
    let queue_old = table.take("queue_old");
    let every = table.take("every");
    table.finish(decoder);
    let default = Limits::default();
    let mut time = |node: Option<_>, default| match node {
        Some(node) => decoder.duration(node, TIME_MIN..=TIME_MAX),
        None => Some(default),
    };
    let queue_old = time(queue_old.map(AsRef::as_ref), default.queue_old);
    let every = time(every.map(AsRef::as_ref), default.every);
    Some(Limits { queue_old: queue_old?, every: every? })
}

/// Warns of limits for events that no route asks for.
pub(in crate::config) fn warn_of_no_route(decoder: &mut Decoder<'_>, node: &Node, routes: &[Route]) {
    if routes.iter().all(|route| route.source != EventSource::Relay) {
        decoder
            .report
            .warning(node.span.clone(), "no route asks for the relay's own events, so none is made")
            .hint("a route with `when: event.source == \"relay\"` takes all of them");
    }
}
