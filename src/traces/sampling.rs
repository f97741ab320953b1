//! Which traces are recorded. Pure.

use crate::event::EventId;

/// How many random bits at an id's end decide.
const RANDOM_BITS: u32 = 56;

/// Decides by the event's id alone, so that every span of a trace, also after a restart, is decided on alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sampling {
    All,
    Nothing,
    /// Those whose last 56 bits are at least this.
    AtLeast(u64),
}

impl Sampling {
    /// A share of all traces, from 0 to 1.
    pub fn share(share: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2^56")]
        let threshold = ((1.0 - share.clamp(0.0, 1.0)) * (1_u64 << RANDOM_BITS) as f64).round() as u64;
        match threshold {
            0 => Self::All,
            threshold if threshold >> RANDOM_BITS == 0 => Self::AtLeast(threshold),
            _ => Self::Nothing,
        }
    }

    /// Whether the event's trace is recorded.
    ///
    /// The SDK's own sampler looks at the top of the last 64 bits. There a UUID has the two bits of its variant, which are the
    /// same in each, so that it would take none of a tenth and all of three quarters. The last 56 bits are random in a UUID of
    /// version 7, and are what OpenTelemetry's consistent probability sampling goes by.
    pub fn takes(self, event: &EventId) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::AtLeast(threshold) => {
                let [.., a, b, c, d, e, f, g] = *event.as_bytes();
                u64::from_be_bytes([0, a, b, c, d, e, f, g]) >= threshold
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_share_of_real_ids_is_that_share() {
        let ids: Vec<EventId> = (0..20_000).map(|_| EventId::new(Timestamp::now())).collect();
        for share in [0.0, 0.01, 0.1, 0.5, 0.9, 1.0] {
            let taken = ids.iter().filter(|id| Sampling::share(share).takes(id)).count() as f64 / ids.len() as f64;
            // Six standard deviations: by chance once in half a billion runs.
            let tolerance = 6.0 * (share * (1.0 - share) / ids.len() as f64).sqrt();
            assert!((taken - share).abs() <= tolerance, "{taken} instead of {share}");
        }
    }

    #[test]
    fn what_a_small_share_takes_a_larger_one_takes_too() {
        let ids = (0..2000).map(|_| EventId::new(Timestamp::now()));
        assert!(ids.into_iter().all(|id| !Sampling::share(0.2).takes(&id) || Sampling::share(0.3).takes(&id)));
        assert_eq!((Sampling::share(0.0), Sampling::share(1.0)), (Sampling::Nothing, Sampling::All));
    }
}
