//! `wiza-relay audit`: walks a store and checks that no delivery is missing from the books.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Ending, out, store};
use crate::store::{Account, Audit, DestinationFigures};

#[derive(Debug, Args)]
pub(super) struct Audited {
    /// The folder that keeps events, or a file that `backup` has made; a relay may be running on it.
    #[arg(long, env = "WIZA_RELAY_STORE", default_value = "./data", value_name = "FOLDER|FILE")]
    store: PathBuf,
    /// One JSON object a destination and line.
    #[arg(long)]
    json: bool,
}

impl Audited {
    pub fn run(self) -> Ending {
        let audit = match store::tools(&self.store).audit() {
            Ok(audit) => audit,
            Err(error) => return Ending::Failed(store::words(&error)),
        };
        for account in &audit.accounts {
            show(account, self.json);
        }
        for stray in &audit.strays {
            out::note(format_args!("wiza-relay: {stray}"));
        }
        if !self.json {
            out::line(verdict(&audit));
        }
        if audit.balances() { Ending::Good } else { Ending::No }
    }
}

fn show(account: &Account, json: bool) {
    let Account { figures, outstanding, dead_rows, delivered_rows } = account;
    let DestinationFigures { name: destination, active, planned, redriven, delivered, dead, dead_kept, .. } = figures;
    let left = planned + redriven;
    let right = delivered + dead + outstanding;
    if json {
        let (waiting, parked) = if *active { (outstanding, &0) } else { (&0, outstanding) };
        out::json(&json!({
            "destination": destination, "balances": account.balances(), "planned": planned, "redriven": redriven, "delivered": delivered,
            "dead": dead, "waiting": waiting, "parked": parked, "dead_letters": dead_kept, "dead_letters_found": dead_rows,
        }));
        return;
    }
    let rest = if *active { "waiting" } else { "parked" };
    let sign = if left == right { "=" } else { "≠" };
    out::line(format_args!(
        "{destination}: planned {planned} + redriven {redriven} {sign} delivered {delivered} + dead {dead} + {rest} {outstanding}   ({left} {sign} {right})"
    ));
    if dead_kept != dead_rows {
        out::line(format_args!("{destination}: {dead_kept} dead letters are counted, {dead_rows} are there"));
    }
    if delivered_rows > delivered {
        out::line(format_args!("{destination}: {delivered} are counted as delivered, {delivered_rows} rows say so"));
    }
}

/// The books in one line.
pub(super) fn verdict(audit: &Audit) -> String {
    let events = super::load::counted(usize::try_from(audit.events).unwrap_or(usize::MAX), "event");
    if audit.balances() { format!("{events} walked: the books balance") } else { format!("{events} walked: THE BOOKS DO NOT BALANCE") }
}
