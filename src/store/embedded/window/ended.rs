//! How many deliveries of a queue got a final outcome within the last minute: how fast its backlog shrinks. Pure: `now` is an argument.

/// The time of one slot, in milliseconds.
const SLOT_MS: i64 = 5_000;
/// A minute: long enough that a batch every few seconds gives an even rate, short enough to be the present.
const SLOTS: usize = 12;
/// What has begun only now is not taken for a rate by less time than this.
const SPAN_MIN_MS: i64 = 10_000;

/// Final outcomes by the time at which they were written down.
#[derive(Debug, Default)]
pub(super) struct Ended {
    counts: [u64; SLOTS],
    /// The number of the newest slot since 1970.
    newest: i64,
}

impl Ended {
    /// So many at `now` (Unix milliseconds).
    pub fn add(&mut self, count: u64, now: i64) {
        if count > 0 {
            self.turn_to(now.div_euclid(SLOT_MS));
            if let Some(slot) = self.counts.last_mut() {
                *slot = slot.saturating_add(count);
            }
        }
    }

    /// The rate a second since the oldest slot that has any; `None` where none has.
    #[expect(clippy::cast_precision_loss, reason = "counts and milliseconds of a minute are far below 2^53")]
    pub fn per_second(&mut self, now: i64) -> Option<f64> {
        self.turn_to(now.div_euclid(SLOT_MS));
        let oldest = self.counts.iter().position(|count| *count > 0)?;
        let behind = i64::try_from(SLOTS - 1 - oldest).unwrap_or(0);
        let span = now.saturating_sub((self.newest - behind).saturating_mul(SLOT_MS)).max(SPAN_MIN_MS);
        let sum = self.counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
        Some(sum as f64 * 1000.0 / span as f64)
    }

    /// Makes this slot the newest. Where the clock was set back nothing is known any more.
    fn turn_to(&mut self, slot: i64) {
        match usize::try_from(slot.saturating_sub(self.newest)) {
            Ok(by) if by < SLOTS => {
                self.counts.rotate_left(by);
                self.counts.iter_mut().rev().take(by).for_each(|count| *count = 0);
            }
            _ => self.counts = [0; SLOTS],
        }
        self.newest = slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_764_300_000_000;

    #[test]
    fn the_rate_is_of_the_last_minute_and_of_the_time_in_which_something_ended() {
        let mut ended = Ended::default();
        assert_eq!(ended.per_second(START), None);
        for second in 0..30 {
            ended.add(4, START + second * 1000);
        }
        let rate = ended.per_second(START + 30_000).unwrap();
        assert!((rate - 4.0).abs() < 0.01, "{rate}");
        ended.add(0, START + 59_000);
        assert!(ended.per_second(START + 59_000).unwrap() < 2.1, "nothing ended for half of the time");
        assert_eq!(ended.per_second(START + 90_000), None, "that was more than a minute ago");
    }

    #[test]
    fn what_has_just_begun_is_no_high_rate_and_a_clock_that_is_set_back_no_low_one() {
        let mut ended = Ended::default();
        ended.add(1, START);
        assert_eq!(ended.per_second(START), Some(0.1));
        ended.add(50, START - 3_600_000);
        assert_eq!(ended.per_second(START - 3_600_000), Some(5.0));
        assert_eq!(ended.per_second(START - 7_200_000), None);
    }
}
