//! What a write works on. Only the writer's thread has one, so nobody else writes to the file.

use std::sync::Arc;

use rusqlite::Connection;

use super::dedupe::Dedupe;
use crate::store::embedded::changes::Changes;
use crate::store::embedded::failures::Failures;
use crate::store::embedded::window::queues::Queues;

/// The writer's connection, and what goes with what it writes.
pub struct Session {
    /// The one connection that writes.
    pub connection: Connection,
    /// Told what a commit has made true.
    pub queues: Arc<Queues>,
    /// Told what a commit touched.
    pub changes: Arc<Changes>,
    /// Told what failed.
    pub failures: Arc<Failures>,
    /// What was seen before.
    pub dedupe: Dedupe,
    /// The place of the next event in the order of acceptance.
    pub next_sequence: i64,
}
