//! The relay checks its own books now and then: every delivery against every plan. In the figures that are counted a delivery that is
//! missing would still be waiting; only a walk through the store finds it.

use std::sync::Arc;
use std::time::Duration;

use crate::metrics::Metrics;
use crate::store::{Audit, Records};

/// How long after the start the first check comes, at most. A relay that is started every day is checked too, and its start is over.
const FIRST_AFTER_MAX: Duration = Duration::from_secs(600);

/// Checks them whenever this time has passed; with zero never. Does not end.
pub async fn check(records: Arc<dyn Records>, metrics: Arc<Metrics>, interval: Duration) {
    if interval.is_zero() {
        return std::future::pending().await;
    }
    let mut wait = interval.min(FIRST_AFTER_MAX);
    loop {
        tokio::time::sleep(wait).await;
        match records.audit().await {
            Ok(audit) => tell(&audit, &metrics),
            Err(error) => tracing::error!(%error, "the books could not be checked; the store or its disk may be damaged"),
        }
        wait = interval;
    }
}

/// Names destinations and rows, and never shows an event.
fn tell(audit: &Audit, metrics: &Metrics) {
    let balances = audit.balances();
    metrics.audited(balances);
    if balances {
        tracing::info!(events = audit.events, "the books balance");
        return;
    }
    let wrong: Vec<&str> = audit.accounts.iter().filter(|account| !account.balances()).map(|account| &*account.figures.name).collect();
    tracing::error!(
        events = audit.events,
        destinations = wrong.join(", "),
        strays = audit.strays.join("; "),
        "the books do not balance; keep a back-up as evidence, `wiza-relay audit` prints both sides"
    );
}
