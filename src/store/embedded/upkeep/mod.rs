//! What the writer does between two commits, a little each time, so that no webhook waits for it.

pub mod believed;
pub mod checkpoint;
pub mod clock;
pub mod expiry;
pub mod give_up;
pub mod leftovers;
pub mod retention;

use std::time::Instant;

use self::believed::Believed;
use self::checkpoint::Pacer;
use self::clock::Clock;
use self::expiry::Expiry;
use self::leftovers::Leftovers;
use self::retention::Sweep;
use crate::store::embedded::write::session::Session;

/// All of it.
pub struct Upkeep {
    /// The time by which it deletes and ends.
    pub believed: Believed,
    /// Deletes what is old.
    pub retention: Sweep,
    /// Ends what is not worth sending any more.
    pub expiry: Expiry,
    /// Keeps the log short.
    pub checkpoint: Pacer,
    /// Notices a wall clock that was set back.
    pub clock: Clock,
    /// Clears what deleted rows leave behind.
    pub leftovers: Leftovers,
}

impl Upkeep {
    /// Called by the writer between two commits.
    pub fn step(&mut self, session: &Session) {
        checkpoint::step(&mut self.checkpoint, session);
        if retention::step(&mut self.retention, &mut self.believed, session) {
            self.leftovers.note_deleted();
        }
        expiry::step(&mut self.expiry, &mut self.believed, session);
        leftovers::step(&mut self.leftovers, &mut self.checkpoint, session, self.retention.rests());
        clock::step(&mut self.clock, session);
    }

    /// When it wants to go on, if that is before the writer would call by itself.
    pub fn next_step_at(&self) -> Option<Instant> {
        self.leftovers.next_step_at()
    }

    /// Called by the writer before it ends.
    pub fn close(&self, session: &Session) {
        checkpoint::on_close(session);
    }
}
