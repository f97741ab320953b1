//! `wiza-relay deliveries`: what a running relay has sent, or is to send.

use clap::{Args, Subcommand};

use super::events::word;
use super::listing::{List, Listed, Output, column, show_one};
use super::{Ending, block_on};
use crate::event::rfc3339_milliseconds;
use crate::listing::Delivery;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Deliveries {
    #[command(subcommand)]
    one: Option<One>,
    /// Only in this status: waiting, retrying, delivered, dead, parked.
    #[arg(long, env = "WIZA_RELAY_STATUS", value_name = "STATUS")]
    status: Option<String>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum One {
    /// Show one delivery with its attempts and its event's body.
    Show {
        /// The delivery's id, `<event id>_<destination>`: the `webhook-id` that the destination gets.
        id: String,
        #[command(flatten)]
        output: Output,
    },
}

impl Deliveries {
    pub fn run(self) -> Ending {
        match self.one {
            None => self.list.run::<Delivery>(self.status),
            Some(One::Show { id, output }) => block_on(async move {
                let shown = async { show_one(&output.remote.connect()?, &["api", "deliveries", &id], output.json).await };
                shown.await.map_or_else(Ending::Failed, |()| Ending::Good)
            }),
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
