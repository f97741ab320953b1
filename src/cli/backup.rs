//! `wiza-relay backup`: a copy of a store, also while a relay works on it.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;

use super::{Ending, audit, out, store};
use crate::store::embedded::folder_of;

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The file to write, which must not be there yet, or `-` for standard output. It has the personal data of all events.
    #[arg(value_name = "FILE")]
    to: PathBuf,
    /// The folder that keeps events. A relay may be running on it; for `-` the copy is made in there, and deleted once it is written out.
    #[arg(long, env = "WIZA_RELAY_STORE", default_value = "./data", value_name = "FOLDER")]
    store: PathBuf,
}

impl Backup {
    /// What the copy holds is told on standard error. Books that do not balance are copied all the same.
    pub fn run(self) -> Ending {
        let to_stdout = self.to.as_os_str() == "-";
        if to_stdout && std::io::stdout().is_terminal() {
            return Ending::Misused("standard output is a terminal; write `wiza-relay backup - > relay.db`, or name a file".to_owned());
        }
        if !to_stdout && self.to.symlink_metadata().is_ok() {
            return Ending::Failed(format!("{} is there already, and is left alone; name another file", self.to.display()));
        }
        if to_stdout && let Err(error) = out::keep_private() {
            return Ending::Failed(format!("standard output: {error}"));
        }
        let into = if to_stdout { self.store.clone() } else { folder_of(&self.to) };
        let made = match store::tools(&self.store).back_up(&into) {
            Ok(made) => made,
            Err(error) => return Ending::Failed(store::words(&error)),
        };
        let (balances, verdict) = (made.audit().balances(), audit::verdict(made.audit()));
        let written = if to_stdout { made.write_to(&mut std::io::stdout().lock()) } else { made.keep(&self.to) };
        if let Err(error) = written {
            return Ending::Failed(format!("{}: {error}", self.to.display()));
        }
        out::note(format_args!("backed up: {verdict}"));
        if balances { Ending::Good } else { Ending::No }
    }
}
