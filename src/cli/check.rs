//! `wiza-relay check`: is a routes.yaml right?

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::load::{self, counted};
use super::{Ending, out, rules};
use crate::config::Severity;
use crate::store::embedded::Embedded;

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The file to check.
    #[arg(value_name = "RULES")]
    file: Option<PathBuf>,
    #[command(flatten)]
    config: rules::Config,
    #[command(flatten)]
    secrets: load::Secrets,
    /// Use no value from the environment. A `${NAME}` is shown by its name, and is not an error if it is not set. Use
    /// it if the secrets are elsewhere, for example in CI.
    #[arg(long)]
    no_env: bool,
    /// Fail if there is a warning, too.
    #[arg(long)]
    strict: bool,
    /// Also check that the store in this folder can be opened by this version.
    #[arg(long, env = "WIZA_RELAY_STORE")]
    store: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub fn run(self) -> Ending {
        let path = match self.config.or(self.file.as_deref()) {
            Ok(path) => path,
            Err(reason) => return Ending::Misused(reason),
        };
        let read = if self.no_env { load::read_without_values(&path) } else { load::read(&self.secrets.of(&path)) };
        let file = match read {
            Ok(file) => file,
            Err(reason) => return Ending::Misused(reason),
        };
        let errors = load::count(&file.loaded.findings, Severity::Error);
        let warnings = load::count(&file.loaded.findings, Severity::Warning);
        let rules_are_good = errors == 0 && !(self.strict && warnings > 0);
        let looked = self.store.as_ref().map(|store| Embedded::inspect(store));
        let is_good = rules_are_good && !matches!(looked, Some(Err(_)));
        if self.json {
            let mut answer = json!({"ok": is_good, "findings": file.loaded.findings});
            if let (Some(store), Some(looked), Some(answer)) = (&self.store, &looked, answer.as_object_mut()) {
                let error = looked.as_ref().err().map(ToString::to_string);
                answer.insert(
                    "store".to_owned(),
                    json!({"path": store, "ok": error.is_none(), "is_there": !matches!(looked, Ok(false)), "error": error}),
                );
            }
            out::json(&answer);
        } else {
            file.show_findings();
            match &file.loaded.config {
                Some(config) => {
                    let (routes, destinations) = (counted(config.routes.len(), "route"), counted(config.destinations.len(), "destination"));
                    let verdict = if rules_are_good { "good" } else { "not good by --strict" };
                    let files = match file.files.included.len() {
                        0 => String::new(),
                        included => format!(" in {} files", included + 1),
                    };
                    let warnings = counted(warnings, "warning");
                    out::line(format_args!("{}: {verdict}, {routes} to {destinations}{files}, {warnings}", path.display()));
                }
                None => out::line(format_args!("{}: {}, {}", path.display(), counted(errors, "error"), counted(warnings, "warning"))),
            }
        }
        match (looked, &self.store) {
            (Some(Err(error)), _) => return Ending::Failed(error.to_string()),
            (Some(Ok(is_there)), Some(store)) if !self.json => {
                let found = if is_there { "good, a store that this version opens" } else { "no store is there yet; `serve` makes one" };
                out::line(format_args!("{}: {found}", store.display()));
            }
            _ => {}
        }
        if is_good { Ending::Good } else { Ending::No }
    }
}
