//! Who works on a destination. Of the relays that share a store one at a time *owns* a destination: it alone claims its deliveries and
//! settles them, so that what it keeps in memory (limits, breaker, order, batches) holds for the destination and not for each relay.
//!
//! An engine for one relay owns everything for as long as it is open. An engine for several gives an ownership for a lease, which it
//! renews, and numbers it with an *epoch*, which grows each time: a settlement of an older epoch is refused, so that a relay that was
//! frozen for longer than its lease writes nothing.

use tokio::sync::watch;

/// The right to claim and settle a destination's deliveries. Dropping it gives the destination up.
#[derive(Debug)]
pub struct Ownership {
    epoch: u64,
    /// Ends with the lease; `None`: there is no lease, and it lasts.
    lease: Option<watch::Receiver<()>>,
}

/// The engine's end of an [`Ownership`]. Dropping it takes the ownership away.
#[derive(Debug)]
pub struct Lease(watch::Sender<()>);

impl Ownership {
    /// Of an engine that shares its store with no other relay.
    pub fn lasting() -> Self {
        Self { epoch: 0, lease: None }
    }

    /// Of an engine that shares its store: the ownership, and what takes it away.
    pub fn leased(epoch: u64) -> (Self, Lease) {
        let (lease, watched) = watch::channel(());
        (Self { epoch, lease: Some(watched) }, Lease(lease))
    }

    /// How many times this destination had an owner before. Whoever owns it later has a higher one.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Waits until it is taken away. Cancel-safe.
    pub async fn lost(&mut self) {
        match &mut self.lease {
            None => std::future::pending().await,
            Some(lease) => while lease.changed().await.is_ok() {},
        }
    }
}

impl Lease {
    /// Waits until the owner gives it up. Cancel-safe.
    pub async fn given_up(&self) {
        self.0.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_lease_that_ends_is_told_to_its_owner_and_an_owner_that_leaves_to_the_lease() {
        let (mut owned, lease) = Ownership::leased(7);
        assert_eq!((owned.epoch(), owned.lost().now_or_never(), lease.given_up().now_or_never()), (7, None, None));
        drop(lease);
        assert_eq!(owned.lost().now_or_never(), Some(()));

        let (owned, lease) = Ownership::leased(8);
        drop(owned);
        assert_eq!(lease.given_up().now_or_never(), Some(()));
    }

    #[tokio::test]
    async fn what_lasts_is_not_lost() {
        assert_eq!(Ownership::lasting().lost().now_or_never(), None);
    }
}
