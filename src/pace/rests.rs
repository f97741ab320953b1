//! How fast a destination is sent to that said "not now": nothing while it rests, then one attempt, then as many as it was
//! seen to take. Without this every rest would end with `concurrency` requests at once, of which a limiter takes one. Pure:
//! `now` is an argument.
//!
//! What a limiter allows is nowhere said, so it is measured: from the first attempt after one rest to the end of the next
//! one, so many attempts were answered without a refusal. From then on attempts are spaced by that much, and a little less
//! with each one that is taken, so that the pace finds the limit again when it is raised.

use std::time::{Duration, Instant};

/// The longest pause between two attempts that is learned. A rest costs one request or two, so that a destination which takes
/// even less is asked once a rest; a wrong guess costs no more than this an attempt.
const SPACING_MAX: Duration = Duration::from_secs(10);
/// Spaced by less, attempts are as good as not spaced.
const SPACING_MIN: Duration = Duration::from_millis(1);
/// What becomes of the spacing with each attempt that is taken. At a limit of one a second about one request in ten finds it
/// out; a limit that was raised is followed twice as fast after 70 attempts.
const SPACING_FACTOR: f64 = 0.99;
/// How long after the last rest the pace is kept: as long as a limiter's usual windows, and more.
const KEPT: Duration = Duration::from_secs(10 * 60);
/// Without an attempt for so long there was nothing to send, and what the destination takes is measured anew.
const IDLE: Duration = Duration::from_secs(1);
/// After so many rests in a row with nothing taken between them the destination is asked less and less often...
const FRUITLESS_RESTS: u32 = 8;
/// ...beginning with this pause, which doubles...
const FRUITLESS_FIRST: Duration = Duration::from_secs(1);
/// ...up to this one.
const FRUITLESS_MAX: Duration = Duration::from_secs(60);

/// What may begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// So many attempts; 0: none before one that is under way has ended.
    Attempts(usize),
    /// Nothing before this time.
    NotBefore(Instant),
}

/// The pace of one destination.
#[derive(Debug, Default)]
pub struct Rests {
    rest_until: Option<Instant>,
    phase: Phase,
    /// Between the beginnings of two attempts; `None`: not spaced.
    spacing: Option<Duration>,
    /// Rests in a row with nothing taken between them.
    fruitless: u32,
}

#[derive(Debug, Default)]
enum Phase {
    /// It never asked for rest, or long ago.
    #[default]
    Free,
    /// It asked for rest, and nothing has begun since.
    Restarting {
        /// From when on the next attempt may begin.
        ready: Instant,
        /// What was seen before the rest.
        before: Option<Cycle>,
    },
    /// Attempts begin one by one.
    Paced(Cycle),
}

/// From one rest to the next.
#[derive(Debug, Clone, Copy)]
struct Cycle {
    /// When the rest before it ended.
    rested: Instant,
    /// From when on `taken` counts.
    began: Instant,
    /// Attempts since then that were answered by anything but a wish for rest.
    taken: u32,
    /// Whether any was since the rest.
    fruitful: bool,
    /// Attempts at a time.
    width: usize,
    last_began: Instant,
    last_ended: Instant,
}

impl Rests {
    /// The destination asked for rest until then. Of several wishes the longest counts. What is added to them where nothing is
    /// taken between them is at most the `longest` wait of its policy.
    pub fn rest(&mut self, until: Instant, longest: Duration, now: Instant) {
        let mut until = self.rest_until.map_or(until, |known| known.max(until));
        match self.phase {
            // Attempts that began before it say the same again.
            Phase::Restarting { ref mut ready, .. } => *ready = until.max(*ready),
            Phase::Free => self.phase = Phase::Restarting { ready: until, before: None },
            Phase::Paced(cycle) => {
                self.fruitless = if cycle.fruitful { 0 } else { self.fruitless.saturating_add(1) };
                if let Some(exponent) = self.fruitless.checked_sub(FRUITLESS_RESTS) {
                    let pause = FRUITLESS_FIRST.saturating_mul(2_u32.saturating_pow(exponent)).min(FRUITLESS_MAX).min(longest);
                    until = until.max(now.checked_add(pause).unwrap_or(now));
                }
                self.phase = Phase::Restarting { ready: until, before: Some(cycle) };
            }
        }
        self.rest_until = Some(until);
    }

    /// Takes over a rest that was kept over a restart of the relay, or that somebody has ended by hand.
    pub fn adopt(&mut self, rest_until: Option<Instant>) {
        self.rest_until = rest_until;
        match (&mut self.phase, rest_until) {
            (Phase::Restarting { ready, .. }, Some(until)) => *ready = until,
            (_, Some(until)) => self.phase = Phase::Restarting { ready: until, before: None },
            (_, None) => {}
        }
    }

    /// Until when the destination rests, as far as [`Rests::wake`] has not ended it.
    pub fn rests_until(&self) -> Option<Instant> {
        self.rest_until
    }

    /// Ends a rest that is over; whether there was one.
    pub fn wake(&mut self, now: Instant) -> bool {
        self.rest_until.take_if(|until| *until <= now).is_some()
    }

    /// What may begin while so many are under way.
    pub fn room(&mut self, now: Instant, in_flight: usize, concurrency: usize) -> Room {
        if let Some(until) = self.rest_until.filter(|until| now < *until) {
            return Room::NotBefore(until);
        }
        let cycle = match self.phase {
            Phase::Free => return Room::Attempts(concurrency.saturating_sub(in_flight)),
            Phase::Restarting { .. } => return Room::Attempts(usize::from(in_flight == 0)),
            Phase::Paced(cycle) => cycle,
        };
        if now.saturating_duration_since(cycle.rested) > KEPT {
            *self = Self::default();
            return Room::Attempts(concurrency.saturating_sub(in_flight));
        }
        let free = concurrency.min(cycle.width).saturating_sub(in_flight);
        match self.spacing {
            Some(spacing) => match cycle.last_began.checked_add(spacing) {
                Some(next) if now < next && free > 0 => Room::NotBefore(next),
                _ => Room::Attempts(free.min(1)),
            },
            None => Room::Attempts(free),
        }
    }

    /// An attempt begins.
    pub fn begun(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Free => {}
            Phase::Restarting { ready, before } => {
                if let Some(before) = before.filter(|before| before.taken > 0) {
                    let each = ready.saturating_duration_since(before.began) / before.taken;
                    self.spacing = Some(each.min(SPACING_MAX)).filter(|each| *each >= SPACING_MIN);
                }
                let cycle = Cycle { rested: now, began: now, taken: 0, fruitful: false, width: 1, last_began: now, last_ended: now };
                self.phase = Phase::Paced(cycle);
            }
            Phase::Paced(cycle) => {
                let spacing = self.spacing.unwrap_or_default();
                let possible = cycle.last_began.checked_add(spacing).unwrap_or(now).max(cycle.last_ended);
                if now.saturating_duration_since(possible) > IDLE.max(spacing) {
                    (cycle.began, cycle.taken) = (now, 0);
                }
                cycle.last_began = now;
            }
        }
    }

    /// An attempt ended. `taken`: the destination answered, and asked for no rest.
    pub fn ended(&mut self, taken: bool, now: Instant) {
        match &mut self.phase {
            Phase::Restarting { before: Some(cycle), .. } if taken => cycle.taken = cycle.taken.saturating_add(1),
            Phase::Paced(cycle) => {
                cycle.last_ended = now;
                if taken {
                    cycle.taken = cycle.taken.saturating_add(1);
                    cycle.fruitful = true;
                    cycle.width = cycle.width.saturating_add(1);
                    self.spacing = self.spacing.map(|spacing| spacing.mul_f64(SPACING_FACTOR)).filter(|spacing| *spacing >= SPACING_MIN);
                }
            }
            Phase::Free | Phase::Restarting { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
