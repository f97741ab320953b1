//! `wiza-relay events`: what a running relay has received.

use clap::{Args, Subcommand};

use super::Ending;
use super::listing::{List, Listed, Show, column};
use super::release::Release;
use crate::event::rfc3339_milliseconds;
use crate::listing::{DeliveryStatus, Event, EventStatus};

/// A listing, or something about some of the events.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Events {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show one whole, with its body.
    Show(Show),
    /// Have events leave quarantine: they are routed by the rules in effect now.
    Release(Release),
}

impl Events {
    pub fn run(self) -> Ending {
        match self.verb {
            None => self.list.run::<Event>(),
            Some(Verb::Show(show)) => show.run::<Event>(),
            Some(Verb::Release(release)) => release.run(),
        }
    }
}

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
