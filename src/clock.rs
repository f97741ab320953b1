//! What time it is, for the store and the lanes. Pure modules are given the time as an argument. In a build for tests a simulation has a
//! time of its own on its thread, which goes on only when nothing is left to be done at this moment.

use std::time::Instant;

use jiff::Timestamp;

/// The steady clock, which never jumps.
#[cfg(not(test))]
#[inline(always)]
pub fn steady() -> Instant {
    Instant::now()
}

/// The wall clock, which can be set.
#[cfg(not(test))]
#[inline(always)]
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// Has this thread sleep.
#[cfg(not(test))]
pub fn pause(time: std::time::Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
pub use simulated::{begin, end, is_simulated, pause, steady, wall};

#[cfg(test)]
mod simulated {
    use std::cell::Cell;

    use super::{Instant, Timestamp};

    thread_local! {
        /// One moment by both clocks, while this thread simulates.
        static BEGAN: Cell<Option<(Instant, Timestamp)>> = const { Cell::new(None) };
    }

    /// Whether this thread simulates.
    pub fn is_simulated() -> bool {
        BEGAN.get().is_some()
    }

    /// From now on the time on this thread is that of its paused runtime, and the wall clock shows this now.
    pub fn begin(wall: Timestamp) {
        BEGAN.set(Some((tokio::time::Instant::now().into_std(), wall)));
    }

    /// The real time again.
    pub fn end() {
        BEGAN.set(None);
    }

    /// The steady clock, or the simulation's.
    pub fn steady() -> Instant {
        if is_simulated() { tokio::time::Instant::now().into_std() } else { Instant::now() }
    }

    /// Has this thread sleep, which a simulation does not.
    pub fn pause(time: std::time::Duration) {
        if !is_simulated() {
            std::thread::sleep(time);
        }
    }

    /// The wall clock, or the simulation's.
    pub fn wall() -> Timestamp {
        match BEGAN.get() {
            Some((began, wall)) => wall + steady().saturating_duration_since(began),
            None => Timestamp::now(),
        }
    }
}
