//! Which routes.yaml a command reads: by its place or by `--config`, so that no command has a way of its own.

use std::path::{Path, PathBuf};

use clap::Args;

/// Where the rules are, if nobody says otherwise.
const DEFAULT: &str = "routes.yaml";
const VARIABLE: &str = "WIZA_RELAY_CONFIG";

/// `--config`.
#[derive(Debug, Clone, Args)]
pub(super) struct Config {
    /// The rules file, `routes.yaml` by default. You can also name it without the flag.
    #[arg(long, env = VARIABLE, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Config {
    /// Whether the flag itself was given, and not the variable.
    pub fn is_given(&self) -> bool {
        self.config.as_deref().is_some_and(|config| std::env::var_os(VARIABLE).is_none_or(|variable| Path::new(&variable) != config))
    }

    /// The file that was named by its place, by the flag or by the variable, in this order.
    ///
    /// # Errors
    /// Where two different files are named on one command line.
    pub fn or(&self, placed: Option<&Path>) -> Result<PathBuf, String> {
        match (placed, &self.config) {
            (Some(placed), Some(config)) if self.is_given() && placed != config => {
                Err(format!("the rules are named twice, as {} and with `--config {}`; name one file", placed.display(), config.display()))
            }
            (Some(placed), _) => Ok(placed.to_owned()),
            (None, Some(config)) => Ok(config.clone()),
            (None, None) => Ok(PathBuf::from(DEFAULT)),
        }
    }
}
