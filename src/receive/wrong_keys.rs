//! A limit on wrong keys by address. It is asked only after a key was found wrong, so whoever has the right key is
//! never limited, also not behind the same proxy as somebody who guesses.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Wrong keys a minute from one address; the next gets 429.
pub(super) const WRONG_KEYS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();
/// Addresses remembered at most; above it, those that have long been quiet are forgotten at once.
const ADDRESSES_MAX: usize = 10_000;
/// How often quiet addresses are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

pub(super) struct WrongKeys {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    last_sweep: Mutex<Instant>,
}

impl WrongKeys {
    pub fn new() -> Self {
        Self { limiter: RateLimiter::dashmap(Quota::per_minute(WRONG_KEYS_PER_MINUTE)), last_sweep: Mutex::new(Instant::now()) }
    }

    /// Counts a wrong key; where there were too many, says how long to wait.
    pub fn count(&self, address: IpAddr) -> Result<(), Duration> {
        self.sweep();
        if self.limiter.len() >= ADDRESSES_MAX {
            // A flood from ever new addresses: remembering it would cost memory and help nobody.
            return Ok(());
        }
        self.limiter.check_key(&network(address)).map_err(|refused| refused.wait_time_from(DefaultClock::default().now()))
    }

    fn sweep(&self) {
        let Ok(mut last_sweep) = self.last_sweep.try_lock() else { return };
        if last_sweep.elapsed() >= SWEEP_EVERY {
            *last_sweep = Instant::now();
            self.limiter.retain_recent();
        }
    }
}

/// One IPv6 host has a /64 to choose its address from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixty_first_wrong_key_is_limited_and_others_are_not() {
        let wrong_keys = WrongKeys::new();
        let guesser: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..WRONG_KEYS_PER_MINUTE.get() {
            assert_eq!(wrong_keys.count(guesser), Ok(()));
        }
        let wait = wrong_keys.count(guesser).unwrap_err();
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(wrong_keys.count("192.0.2.2".parse().unwrap()), Ok(()));
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn memory_is_bounded() {
        let wrong_keys = WrongKeys::new();
        for host in 0..u32::try_from(ADDRESSES_MAX).unwrap() + 5000 {
            let _ = wrong_keys.count(IpAddr::V4(host.into()));
        }
        assert!(wrong_keys.limiter.len() <= ADDRESSES_MAX);
    }
}
