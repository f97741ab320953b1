//! Where logs go, and in which form.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// Flags for logs.
#[derive(Debug, Args)]
pub(super) struct Logs {
    /// What is logged: error, warn, info, debug, trace, or a filter as of the env_logger family. Every attempt is
    /// one line, at info if it delivered, at warn if not.
    #[arg(long, env = "WIZA_RELAY_LOG", default_value = "info", value_name = "LEVEL")]
    pub log: String,
    /// Form of a log line.
    #[arg(long, env = "WIZA_RELAY_LOG_FORMAT", default_value = "text")]
    pub log_format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Format {
    /// For eyes.
    Text,
    /// One JSON object a line.
    Json,
}

/// Colours are for eyes: whoever reads a file or a pipe would have to take them out again.
fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

impl Logs {
    /// Begins logging to standard error.
    ///
    /// # Errors
    /// Where the filter cannot be read.
    pub fn start(&self) -> Result<(), String> {
        let filter = EnvFilter::try_new(&self.log).map_err(|error| format!("--log {}: {error}", self.log))?;
        let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours());
        match self.log_format {
            Format::Text => logs.with_target(false).init(),
            Format::Json => logs.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
        }
        Ok(())
    }

    /// Whether whoever reads standard error expects JSON there, and what went wrong would be in it.
    pub fn in_json(&self) -> bool {
        matches!(self.log_format, Format::Json) && tracing::enabled!(tracing::Level::ERROR)
    }
}
