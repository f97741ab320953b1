//! The only place that knows how many files and connections the process may have open (`RLIMIT_NOFILE`).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to what this process may raise it to, and returns what it then is; `None` where there is none.
///
/// Whoever starts a process leaves its soft limit at 1024 for the sake of programs that use `select`, which this is none of: systemd does,
/// and container engines do. Where raising is forbidden, as in the unit that is shipped, what was given is what there is.
pub fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum || setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        return current;
    }
    maximum
}

/// How many connections there may be for webhooks: as many as are wanted, and half of what may be open. The rest is for deliveries,
/// the store, and those who ask how the relay is.
pub fn connections(wanted: usize, open_max: Option<u64>) -> usize {
    let half = open_max.map_or(usize::MAX, |open_max| usize::try_from(open_max / 2).unwrap_or(usize::MAX)).max(1);
    if half < wanted {
        tracing::warn!(
            open_max,
            connections_max = half,
            "--max-connections is more than the process may have open; raise its limit of open files (LimitNOFILE, ulimit -n)"
        );
    }
    wanted.min(half)
}
