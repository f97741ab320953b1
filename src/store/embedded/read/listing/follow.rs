//! Telling what happens as it happens: every commit says which events and deliveries it touched, to whoever follows.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use rusqlite::Connection;
use tokio::sync::broadcast;

use super::{Matcher, Names, deliveries, events};
use crate::store::embedded::changes::Changed;
use crate::store::embedded::read::readers::Readers;
use crate::wire::listing::{Delivery, DeliveryStatus, Event, EventStatus, Filter, Followed};

/// Events as they are accepted.
pub fn events(
    changes: broadcast::Receiver<Arc<Changed>>,
    readers: Arc<Readers>,
    status: Option<EventStatus>,
    filter: Filter,
) -> BoxStream<'static, Followed<Event>> {
    follow(changes, readers, move |connection, changed| {
        let names = Names::load(connection)?;
        let Some(matcher) = Matcher::new(&filter, &names)? else { return Ok(Vec::new()) };
        let found = changed.events.iter().map(|sequence| events::one(connection, &names, &matcher, status, *sequence));
        found.filter_map(Result::transpose).collect()
    })
}

/// Deliveries as they are planned and as their status changes.
pub fn deliveries(
    changes: broadcast::Receiver<Arc<Changed>>,
    readers: Arc<Readers>,
    status: Option<DeliveryStatus>,
    filter: Filter,
) -> BoxStream<'static, Followed<Delivery>> {
    follow(changes, readers, move |connection, changed| {
        let names = Names::load(connection)?;
        let Some(matcher) = Matcher::new(&filter, &names)? else { return Ok(Vec::new()) };
        let found = changed.deliveries.iter().map(|place| deliveries::one(connection, &names, &matcher, status, *place));
        found.filter_map(Result::transpose).collect()
    })
}

/// Reads what each commit touched, a commit at a time.
fn follow<T: Send + 'static>(
    changes: broadcast::Receiver<Arc<Changed>>,
    readers: Arc<Readers>,
    look: impl Fn(&Connection, &Changed) -> rusqlite::Result<Vec<T>> + Send + Sync + 'static,
) -> BoxStream<'static, Followed<T>> {
    let look = Arc::new(look);
    stream::unfold((changes, VecDeque::new()), move |(mut changes, mut found)| {
        let (readers, look) = (Arc::clone(&readers), Arc::clone(&look));
        async move {
            loop {
                if let Some(next) = found.pop_front() {
                    return Some((Followed::Item(next), (changes, found)));
                }
                let changed = match changes.recv().await {
                    Ok(changed) => changed,
                    Err(broadcast::error::RecvError::Lagged(count)) => return Some((Followed::Missed(count), (changes, found))),
                    Err(broadcast::error::RecvError::Closed) => return None,
                };
                let look = Arc::clone(&look);
                match readers.read("looking at what has changed", move |connection| look(connection, &changed)).await {
                    Ok(seen) => found.extend(seen),
                    Err(error) => {
                        tracing::warn!(%error, "a follower misses a commit");
                        return Some((Followed::Missed(1), (changes, found)));
                    }
                }
            }
        }
    })
    .boxed()
}
