//! Wrong tokens at the admin port: limited by address, and told in the log without letting a stranger fill it.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::asker::Asker;
use crate::guesses::Guesses;

/// Wrong tokens a minute from one address; the next gets 429. Nobody mistypes a token as often.
const WRONG_TOKENS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// Between two lines of the log.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What is known of them.
#[derive(Debug)]
pub(super) struct WrongTokens {
    guesses: Guesses,
    unlogged: Mutex<Unlogged>,
}

#[derive(Debug, Default)]
struct Unlogged {
    /// Whether a line was written less than [`LOG_INTERVAL`] ago, so that the next one waits.
    waits: bool,
    count: u64,
    last: Option<Asker>,
}

impl WrongTokens {
    pub fn new() -> Self {
        Self { guesses: Guesses::new(WRONG_TOKENS_PER_MINUTE, Instant::now()), unlogged: Mutex::default() }
    }

    /// Counts one; where there were too many from its address, says how long to wait.
    pub fn count(self: &Arc<Self>, asker: &Asker) -> Result<(), Duration> {
        self.tell(asker);
        match asker.from {
            Some(from) => self.guesses.count(from.ip(), Instant::now()),
            None => Ok(()),
        }
    }

    /// Logs the first at once, and those that follow as one line every ten seconds until there are no more.
    fn tell(self: &Arc<Self>, asker: &Asker) {
        {
            let mut unlogged = self.unlogged.lock().unwrap_or_else(PoisonError::into_inner);
            if unlogged.waits {
                unlogged.count += 1;
                unlogged.last = Some(asker.clone());
                return;
            }
            unlogged.waits = true;
        }
        log(1, asker);
        let tokens = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOG_INTERVAL).await;
                let Some((count, last)) = tokens.take() else { return };
                log(count, &last);
            }
        });
    }

    /// Those that were not logged; with none the next one is logged at once.
    fn take(&self) -> Option<(u64, Asker)> {
        let mut unlogged = self.unlogged.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = unlogged.last.take().map(|last| (std::mem::take(&mut unlogged.count), last));
        unlogged.waits = taken.is_some();
        taken
    }
}

fn log(count: u64, last: &Asker) {
    tracing::warn!(
        count,
        from = last.address(),
        forwarded_for = last.claims,
        "wrong tokens were shown at the admin port; the last came from there"
    );
}
