//! `wiza-relay check`: is a routes.yaml right?

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::load::{self, counted};
use super::{Ending, out};
use crate::config::Severity;
use crate::store::embedded::Embedded;

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The file to check.
    #[arg(default_value = "routes.yaml", env = "WIZA_RELAY_CONFIG")]
    file: PathBuf,
    #[command(flatten)]
    secrets: load::Secrets,
    /// Also check that the store in this folder can be opened by this version.
    #[arg(long, env = "WIZA_RELAY_STORE")]
    store: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub fn run(self) -> Ending {
        let file = match load::read(&self.secrets.of(&self.file)) {
            Ok(file) => file,
            Err(reason) => return Ending::Misused(reason),
        };
        let errors = load::count(&file.loaded.findings, Severity::Error);
        let warnings = load::count(&file.loaded.findings, Severity::Warning);
        if self.json {
            out::json(&json!({"ok": errors == 0, "findings": file.loaded.findings}));
        } else {
            file.show_findings();
            match &file.loaded.config {
                Some(config) => {
                    let (routes, destinations) = (counted(config.routes.len(), "route"), counted(config.destinations.len(), "destination"));
                    out::line(format_args!("{}: good, {routes} to {destinations}, {}", self.file.display(), counted(warnings, "warning")));
                }
                None => out::line(format_args!("{}: {}, {}", self.file.display(), counted(errors, "error"), counted(warnings, "warning"))),
            }
        }
        if let Some(store) = &self.store
            && let Err(error) = Embedded::inspect(store)
        {
            return Ending::Failed(error.to_string());
        }
        if errors == 0 { Ending::Good } else { Ending::No }
    }
}
