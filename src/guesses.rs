//! A limit on wrong keys and wrong tokens by address, in memory that does not grow. It is asked only after one was found
//! wrong, so whoever has the right one is never limited, also not behind the same proxy as somebody who guesses.
//!
//! No address is stored, so none has to be forgotten and none can be washed away by guesses from many others: an address is
//! hashed to two of a fixed number of cells, each of which is a limit of its own, and it is refused while both are used up.
//! Two addresses that share a cell can only make the limit hold earlier, and of all cells used up, every wrong guess is
//! refused. The hash has a key of its own in each process, so nobody can choose addresses that share cells.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Cells in each of the two rows: 512 KiB together. So many thousand guessers at a time hardly meet.
const CELLS: usize = 1 << 15;
/// The time that the limit is counted over.
const PERIOD: Duration = Duration::from_secs(60);

/// The limit. A cell holds the nanosecond, since the beginning, at which it is as if it had never been used.
#[derive(Debug)]
pub struct Guesses {
    rows: [Box<[AtomicU64]>; 2],
    hashes: [RandomState; 2],
    began: Instant,
    /// Nanoseconds that one guess uses up.
    cost: u64,
}

impl Guesses {
    /// Allows so many wrong guesses a minute from one address, and as many at once.
    pub fn new(per_minute: NonZeroU32, now: Instant) -> Self {
        let row = || (0..CELLS).map(|_| AtomicU64::new(0)).collect();
        let cost = nanoseconds(PERIOD) / u64::from(per_minute.get());
        Self { rows: [row(), row()], hashes: [RandomState::new(), RandomState::new()], began: now, cost }
    }

    /// Counts a wrong guess.
    ///
    /// # Errors
    /// Where there were too many: how long to wait before the next.
    pub fn count(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let now = nanoseconds(now.saturating_duration_since(self.began));
        let network = network(address);
        let full = now + nanoseconds(PERIOD);
        let mut refused = u64::MAX;
        for (row, hash) in self.rows.iter().zip(&self.hashes) {
            let place = usize::try_from(hash.hash_one(network) % CELLS as u64).unwrap_or(0);
            let Some(cell) = row.get(place) else { continue };
            let used_up = |free_at: u64| free_at.max(now) + self.cost;
            let before = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free_at| Some(used_up(free_at).min(full)));
            let (Ok(before) | Err(before)) = before;
            refused = refused.min(used_up(before).saturating_sub(full));
        }
        if refused == 0 { Ok(()) } else { Err(Duration::from_nanos(refused)) }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

/// What counts as one address: one IPv6 host has a /64 to choose its address from.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: NonZeroU32 = NonZeroU32::new(60).unwrap();

    fn used_up(guesses: &Guesses, address: IpAddr, now: Instant) {
        for _ in 0..LIMIT.get() {
            assert_eq!(guesses.count(address, now), Ok(()));
        }
    }

    #[test]
    fn the_sixty_first_is_refused_and_others_are_not() {
        let now = Instant::now();
        let guesses = Guesses::new(LIMIT, now);
        let guesser: IpAddr = "192.0.2.1".parse().unwrap();
        used_up(&guesses, guesser, now);
        assert_eq!(guesses.count(guesser, now), Err(Duration::from_secs(1)));
        assert_eq!(guesses.count("192.0.2.2".parse().unwrap(), now), Ok(()));
        // Whoever goes on is not refused for longer, and one a second is let through.
        for _ in 0..1000 {
            assert_eq!(guesses.count(guesser, now), Err(Duration::from_secs(1)));
        }
        let later = now + Duration::from_secs(1);
        assert_eq!(guesses.count(guesser, later), Ok(()));
        assert_eq!(guesses.count(guesser, later), Err(Duration::from_secs(1)));
        used_up(&guesses, guesser, later + PERIOD);
    }

    #[test]
    fn guesses_from_many_addresses_wash_none_away() {
        let now = Instant::now();
        let guesses = Guesses::new(LIMIT, now);
        let guesser: IpAddr = "192.0.2.1".parse().unwrap();
        used_up(&guesses, guesser, now);
        for host in 0..200_000_u32 {
            let _ = guesses.count(IpAddr::V4((0x0a00_0000 + host).into()), now);
            if host % 1000 == 0 {
                assert!(guesses.count(guesser, now).is_err(), "after {host} others");
            }
        }
        // It holds for those who come last, too.
        let last: IpAddr = "198.51.100.7".parse().unwrap();
        let allowed = (0..LIMIT.get() * 2).filter(|_| guesses.count(last, now).is_ok()).count();
        assert!(allowed <= usize::try_from(LIMIT.get()).unwrap(), "{allowed}");
    }

    #[test]
    fn ten_thousand_addresses_with_a_wrong_key_each_are_all_told_that_it_is_wrong() {
        let now = Instant::now();
        let guesses = Guesses::new(LIMIT, now);
        for host in 0..10_000_u32 {
            assert_eq!(guesses.count(IpAddr::V4((0x0a00_0000 + host).into()), now), Ok(()));
        }
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
