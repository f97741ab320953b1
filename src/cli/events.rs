//! `wiza-relay events`: what a running relay has received.

use clap::{Args, Subcommand};

use super::listing::{List, Listed, Output, column, show_one};
use super::{Ending, block_on};
use crate::event::rfc3339_milliseconds;
use crate::listing::{DeliveryStatus, Event, EventStatus};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Events {
    #[command(subcommand)]
    one: Option<One>,
    /// Only in this status: routed, unmatched, quarantined.
    #[arg(long, env = "WIZA_RELAY_STATUS", value_name = "STATUS")]
    status: Option<String>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum One {
    /// Show one event with its body.
    Show {
        /// The event's id.
        id: String,
        #[command(flatten)]
        output: Output,
    },
}

impl Events {
    pub fn run(self) -> Ending {
        match self.one {
            None => self.list.run::<Event>(self.status),
            Some(One::Show { id, output }) => block_on(async move {
                let shown = async { show_one(&output.remote.connect()?, &["api", "events", &id], output.json).await };
                shown.await.map_or_else(Ending::Failed, |()| Ending::Good)
            }),
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
