//! `wiza-relay deliveries`: what a running relay has sent, or is to send.

use clap::{Args, Subcommand};

use super::Ending;
use super::events::word;
use super::listing::{List, Listed, Show, column};
use crate::event::rfc3339_milliseconds;
use crate::listing::Delivery;

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
    /// Show one whole, with the event's body.
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

impl Listed for Delivery {
    const PATH: &'static str = "deliveries";
    const NONE: &'static str = "no deliveries";
    const HEADING: &'static str = "STATUS     ATTEMPTS  DESTINATION           ROUTE                 ID, AND WHAT IS KNOWN";

    fn line(&self) -> String {
        let known = match (self.delivered_at, self.next_attempt_at, &self.last_error, self.last_status) {
            (Some(at), ..) => format!("at {}", rfc3339_milliseconds(at)),
            (None, Some(at), Some(error), _) => format!("again at {}: {error}", rfc3339_milliseconds(at)),
            (None, Some(at), None, Some(status)) => format!("again at {}: status {status}", rfc3339_milliseconds(at)),
            (None, Some(at), None, None) => format!("again at {}", rfc3339_milliseconds(at)),
            (None, None, Some(error), _) => error.clone(),
            (None, None, None, _) => String::new(),
        };
        format!(
            "{}  {:>8}  {}  {}  {}  {known}",
            column(word(self.status), 9),
            self.attempts,
            column(&self.destination, 20),
            column(self.route.as_deref().unwrap_or("-"), 20),
            self.id,
        )
        .trim_end()
        .to_owned()
    }
}
