//! `wiza-relay events`: what a running relay has received.

use super::listing::{Listed, column};
use crate::event::rfc3339_milliseconds;
use crate::listing::{DeliveryStatus, Event, EventStatus};

impl Listed for Event {
    const PATH: &'static str = "events";
    const NONE: &'static str = "no events";
    const HEADING: &'static str =
        "RECEIVED                  STATUS       TYPE                ID                                    DELIVERIES";

    fn line(&self) -> String {
        let status = match self.status {
            EventStatus::Routed => "routed",
            EventStatus::Unmatched => "unmatched",
            EventStatus::Quarantined => "quarantined",
        };
        let deliveries: Vec<String> =
            self.deliveries.iter().map(|delivery| format!("{} {}", delivery.destination, word(delivery.status))).collect();
        format!(
            "{}  {}  {}  {}  {}",
            rfc3339_milliseconds(self.received_at),
            column(status, 11),
            column(self.kind.as_deref().unwrap_or("-"), 18),
            self.id,
            self.reason.clone().unwrap_or_else(|| deliveries.join(", "))
        )
    }
}

/// A status as it is typed.
pub(super) fn word(status: DeliveryStatus) -> &'static str {
    match status {
        DeliveryStatus::Waiting => "waiting",
        DeliveryStatus::Retrying => "retrying",
        DeliveryStatus::Delivered => "delivered",
        DeliveryStatus::Dead => "dead",
        DeliveryStatus::Parked => "parked",
    }
}
