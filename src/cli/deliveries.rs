//! `wiza-relay deliveries`: what a running relay has sent, or is to send.

use anstyle::{AnsiColor, Style};
use clap::{Args, Subcommand};

use super::Ending;
use super::events::word;
use super::listing::{List, Listed, Show};
use super::screen::Screen;
use super::table::{Cell, Row};
use crate::wire::listing::{Delivery, DeliveryStatus, WaitsFor};

/// A listing, or one of the deliveries.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Deliveries {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show a delivery with its attempts, the request as the rules in effect now render it, and the event's body.
    Show(Show),
}

impl Deliveries {
    pub fn run(self) -> Ending {
        match self.verb {
            None => self.list.run::<Delivery>(),
            Some(Verb::Show(show)) => show.run::<Delivery>(),
        }
    }
}

/// What a status looks like.
pub(super) fn style(status: DeliveryStatus) -> Style {
    match status {
        DeliveryStatus::Delivered => AnsiColor::Green.on_default(),
        DeliveryStatus::Dead => AnsiColor::Red.on_default(),
        DeliveryStatus::Retrying | DeliveryStatus::Parked => AnsiColor::Yellow.on_default(),
        DeliveryStatus::Waiting => Style::new(),
    }
}

impl Listed for Delivery {
    const PATH: &'static str = "deliveries";
    const NONE: &'static str = "no deliveries";
    // The id ends with the destination's name, which is not said again.
    const HEADING: &'static [&'static str] = &["STATUS", "ATTEMPTS", "ID", "ROUTE"];

    fn row(&self, screen: &Screen) -> Row {
        let plain = Style::new();
        let attempts = match self.attempts_max {
            Some(limit) => format!("{} of {limit}", self.attempts),
            None => self.attempts.to_string(),
        };
        let cells = vec![
            Cell::whole(word(self.status), style(self.status)),
            Cell::whole(attempts, plain),
            Cell::whole(&self.id, plain),
            Cell::name(self.route.as_deref().unwrap_or("-"), 8),
        ];
        let mut row = Row { cells, phrases: Vec::new(), hangs: false };
        let with_batch = if self.batch.is_some() { ", in a batch" } else { "" };
        let status = self.last_status.map(|status| format!("status {status}"));
        if let Some(at) = self.delivered_at {
            row.say(format!("{} at {}{with_batch}", status.unwrap_or_else(|| "delivered".to_owned()), screen.time(at)), plain);
            return row;
        }
        row.say(self.last_error.clone().or(status).unwrap_or_default(), plain);
        row.say(self.last_reply.as_ref().map(|reply| format!("\"{reply}\"")).unwrap_or_default(), plain);
        match self.status {
            DeliveryStatus::Dead => {
                row.say(self.dead_at.map(|at| format!("at {}{with_batch}", screen.time(at))).unwrap_or_default(), plain)
            }
            DeliveryStatus::Parked => row.say("its destination is not in routes.yaml", plain),
            DeliveryStatus::Retrying => row.say(format!("{}{with_batch}", again(self, screen)), plain),
            DeliveryStatus::Waiting if self.waits_for.is_some() => row.say(again(self, screen), plain),
            DeliveryStatus::Waiting | DeliveryStatus::Delivered => {}
        }
        row
    }
}

/// When it is attempted again: at a time that is still ahead, or now, or once what it waits for has happened.
fn again(delivery: &Delivery, screen: &Screen) -> String {
    let at = delivery.next_attempt_at.map(|at| screen.time(at));
    match (delivery.waits_for, at) {
        (None, Some(at)) => format!("again at {at}"),
        (None, None) => "due now".to_owned(),
        (Some(WaitsFor::Resume), _) => "waits for `wiza-relay resume`".to_owned(),
        (Some(WaitsFor::Line), _) => "waits for the one before it in its line".to_owned(),
        (Some(WaitsFor::Probe), Some(at)) => format!("waits for a probe, at {at}"),
        (Some(WaitsFor::Probe), None) => "waits for a probe, which is due now".to_owned(),
        (Some(WaitsFor::Hold), Some(at)) => format!("again at {at}, after the rest that was asked for"),
        (Some(WaitsFor::Hold), None) => "due now".to_owned(),
    }
}
