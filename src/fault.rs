//! Places at which a test makes the relay panic, to see what becomes of it, and what a test has it do wrong, to see whether the
//! simulation notices. In a build for release there is none of it.

/// Names a folder; where it has a file of a place's name, the next who comes to that place takes the file away and panics.
#[cfg(debug_assertions)]
const FOLDER: &str = "WIZA_RELAY_TEST_PANICS";

/// Panics where a test wants it.
#[cfg(debug_assertions)]
#[allow(clippy::panic, reason = "that is what it is for")]
pub fn point(place: &str) {
    static FAULTS: std::sync::OnceLock<Option<std::path::PathBuf>> = std::sync::OnceLock::new();
    let folder = FAULTS.get_or_init(|| std::env::var_os(FOLDER).map(Into::into));
    if let Some(folder) = folder
        && std::fs::remove_file(folder.join(place)).is_ok()
    {
        panic!("a test wants `{place}` to panic, with a secret: s3cret-of-a-panic");
    }
}

/// Does nothing.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_place: &str) {}

/// What the relay can be made to do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A commit is rolled back, and answered as if it had succeeded.
    CommitSkipped,
    /// The disk is not waited for.
    SyncSkipped,
    /// Nobody waits for others of the same key.
    OrderIgnored,
    /// The rate limit allows everything.
    RateIgnored,
    /// One attempt more than allowed is made at the same time.
    ConcurrencyIgnored,
    /// Where one probe is allowed, many go.
    ProbeIgnored,
    /// A destination that asks for rest gets none.
    RestIgnored,
    /// A retry is written down without its time.
    RetryForgotten,
}

/// Whether this thread's test wants that to be done wrong.
#[cfg(not(test))]
#[inline(always)]
pub fn is_broken(_what: Broken) -> bool {
    false
}

#[cfg(test)]
pub use breaking::{is_broken, set_broken};

#[cfg(test)]
mod breaking {
    use std::cell::Cell;

    use super::Broken;

    thread_local! {
        static BROKEN: Cell<Option<Broken>> = const { Cell::new(None) };
    }

    /// From now on this is done wrong on this thread; `None`: nothing.
    pub fn set_broken(what: Option<Broken>) {
        BROKEN.set(what);
    }

    /// Whether this thread's test wants that to be done wrong.
    pub fn is_broken(what: Broken) -> bool {
        BROKEN.get() == Some(what)
    }
}
