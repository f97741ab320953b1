//! `wiza-relay events`: what a running relay has received.

use anstyle::{AnsiColor, Style};
use clap::{Args, Subcommand};

use super::listing::{List, Listed, Show};
use super::release::Release;
use super::screen::Screen;
use super::table::{Cell, Row};
use super::{Ending, deliveries};
use crate::wire::listing::{DeliveryStatus, Event, EventStatus};

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
    /// Show an event with its body.
    Show(Show),
    /// Release events from quarantine: they are routed by the rules in effect now.
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
    const HEADING: &'static [&'static str] = &["RECEIVED", "STATUS", "ID", "TYPE"];

    fn row(&self, screen: &Screen) -> Row {
        let (status, look) = match self.status {
            EventStatus::Routed => ("routed", Style::new()),
            EventStatus::Unmatched => ("unmatched", AnsiColor::Yellow.on_default()),
            EventStatus::Quarantined => ("quarantined", AnsiColor::Red.on_default()),
        };
        let cells = vec![
            Cell::whole(screen.time(self.received_at), Style::new()),
            Cell::whole(status, look),
            Cell::whole(&self.id, Style::new()),
            Cell::name(self.kind.as_deref().unwrap_or("-"), 8),
        ];
        let mut row = Row { cells, phrases: Vec::new(), hangs: false };
        row.say(self.account.as_ref().map(|account| format!("account {account}")).unwrap_or_default(), Style::new());
        row.say(self.reason.clone().unwrap_or_default(), Style::new());
        for delivery in &self.deliveries {
            row.say(format!("{} {}", delivery.destination, word(delivery.status)), deliveries::style(delivery.status));
        }
        row
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
