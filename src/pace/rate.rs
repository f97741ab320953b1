//! The rate limit of one destination: GCRA, as `governor` calculates it. Pure: `governor` reads a clock that stands where `now` has
//! put it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::config::RateLimit;
use crate::fault::{self, Broken};

/// A rate limit, by the times at which attempts began.
#[derive(Debug)]
pub struct Rate {
    limit: RateLimit,
    began: Instant,
    time: Given,
    tokens: RateLimiter<NotKeyed, InMemoryState, Given, StateInformationMiddleware>,
    /// Before it no attempt may begin.
    next_at: Option<Instant>,
}

/// The time that `governor` sees: nanoseconds since the limit began.
#[derive(Debug, Clone, Default)]
struct Given(Arc<AtomicU64>);

impl Clock for Given {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

impl Rate {
    /// A limit that has not been used yet.
    pub fn new(limit: RateLimit, now: Instant) -> Self {
        // A period of 0 is refused when the file is read; a nanosecond would be the same as no limit.
        let period = (limit.per / limit.count.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(period).unwrap_or_else(|| Quota::per_second(limit.count)).allow_burst(limit.burst);
        let time = Given::default();
        let tokens = RateLimiter::direct_with_clock(quota, time.clone()).with_middleware();
        Self { limit, began: now, time, tokens, next_at: None }
    }

    /// What it was made of.
    pub fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Whether an attempt may begin. Nothing is taken for one that does not, so that waiting for work costs no rate.
    ///
    /// # Errors
    /// Not yet: from when on it may.
    pub fn allows(&self, now: Instant) -> Result<(), Instant> {
        match self.next_at {
            Some(at) if now < at && !fault::is_broken(Broken::RateIgnored) => Err(at),
            _ => Ok(()),
        }
    }

    /// An attempt begins, and takes a token.
    pub fn begun(&mut self, now: Instant) {
        let nanoseconds = now.saturating_duration_since(self.began).as_nanos();
        self.time.0.store(u64::try_from(nanoseconds).unwrap_or(u64::MAX), Ordering::Relaxed);
        let left = self.tokens.check().map_or(0, |taken| taken.remaining_burst_capacity());
        // Without a token another check takes none, and says when there will be one.
        let refused = if left == 0 { self.tokens.check().err() } else { None };
        self.next_at = refused.and_then(|refused| now.checked_add(refused.wait_time_from(self.time.now())));
    }
}
