//! `own_events`.

use crate::config::limits::own_events::{TIME_MAX, TIME_MIN};
use crate::own_events::Limits;

use super::kind::{Schema, duration, object};
use crate::config::reading::units::shown_duration;

pub(super) fn own_events() -> Schema {
    let default = Limits::default();
    let time = || duration(&(TIME_MIN..=TIME_MAX));
    object([
        (
            "queue_old",
            time().says("A delivery that has waited for longer makes a `relay.queue_old`.").default(shown_duration(default.queue_old)),
        ),
        (
            "every",
            time()
                .says("Of one type and one destination (of dead letters: and one reason) there is at most one event in this time.")
                .default(shown_duration(default.every)),
        ),
    ])
    .or_nothing()
}
