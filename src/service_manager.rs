//! The only place that knows systemd: how the relay stands is told to a service manager that listens for it (`$NOTIFY_SOCKET`,
//! as for a unit of `Type=notify`). Elsewhere nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::vitals;

/// The relay takes webhooks from now on.
pub fn ready() {
    tell(vec![NotifyState::Ready]);
}

/// The relay takes no more webhooks and is about to end.
pub fn stopping() {
    tell(vec![NotifyState::Stopping]);
}

/// A line for whoever asks the service manager. It is public: no secret, nothing of an event.
pub fn status(line: &str) {
    tell(vec![NotifyState::Status(line)]);
}

/// Says again and again that tasks are run here and that the relay `works`, where the service manager wants to hear that
/// (`WatchdogSec=`). Does not end. Where the relay needs a restart it says nothing more, and the service manager restarts it.
pub async fn keep_alive(works: impl Fn() -> bool) {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| *limit > Duration::ZERO) else {
        return std::future::pending().await;
    };
    // Twice within the limit, as sd_watchdog_enabled(3) has it.
    let mut tick = tokio::time::interval(limit / 2);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if !works() {
            continue;
        }
        // On another thread: a manager that is busy may make the socket wait.
        let _ = vitals::blocking(|| tell(vec![NotifyState::Watchdog])).await;
    }
}

fn tell(states: Vec<NotifyState<'_>>) {
    if let Err(error) = sd_notify::notify(&states) {
        tracing::warn!(%error, "the service manager could not be told how the relay stands");
    }
}
