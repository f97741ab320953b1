//! `wiza-relay export`: what a store holds, as JSON lines. It reads a damaged store as far as that can be read.

use std::path::PathBuf;

use clap::Args;

use super::load::counted;
use super::{Ending, out, store};
use crate::store::ExportedEvent;

#[derive(Debug, Args)]
pub(super) struct Export {
    /// The folder that keeps events, or a file that `backup` has made. A relay may be running on it. Nothing in it is changed.
    #[arg(long, env = "WIZA_RELAY_STORE", default_value = "./data", value_name = "FOLDER|FILE")]
    store: PathBuf,
}

impl Export {
    /// Events go to standard output, personal data and all; what could not be read is told on standard error.
    pub fn run(self) -> Ending {
        if let Err(error) = out::keep_private() {
            return Ending::Failed(format!("standard output: {error}"));
        }
        let mut write = |event: &ExportedEvent| {
            out::json(event);
            Ok(())
        };
        let exported = match store::tools(&self.store).export(&mut write) {
            Ok(exported) => exported,
            Err(error) => return Ending::Failed(store::words(&error)),
        };
        for lost in &exported.lost {
            out::note(format_args!("cannot be read: {lost}"));
        }
        out::note(format_args!(
            "{} exported, {} of them damaged",
            counted(usize::try_from(exported.events).unwrap_or(usize::MAX), "event"),
            exported.damaged
        ));
        if exported.lost.is_empty() && exported.damaged == 0 { Ending::Good } else { Ending::No }
    }
}
