//! Where logs go, and in which form.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::visible;

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
        let logs = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours());
        match self.log_format {
            Format::Text => logs.with_target(false).with_writer(|| Lines(Format::Text)).init(),
            Format::Json => {
                logs.with_writer(|| Lines(Format::Json)).json().flatten_event(true).with_current_span(false).with_span_list(false).init()
            }
        }
        Ok(())
    }

    /// Whether whoever reads standard error expects JSON there, and what went wrong would be in it.
    pub fn in_json(&self) -> bool {
        matches!(self.log_format, Format::Json) && tracing::enabled!(tracing::Level::ERROR)
    }
}

/// Standard error, where a line stays a line and nothing of it is obeyed by a terminal but its own colours.
struct Lines(Format);

impl Write for Lines {
    /// Takes one line: lines are made as a whole before they are written.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let fit = match self.0 {
            Format::Text => Cow::Owned(visible_line(&text)),
            Format::Json => visible::json(&text),
        };
        // A line that cannot be written, because the disk is full for instance, is lost. To report that would end the relay: it would be
        // reported on standard error too, by a macro that panics where it cannot write.
        let _ = io::stderr().lock().write_all(fit.as_bytes());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = io::stderr().flush();
        Ok(())
    }
}

/// A line of the log, with its line feed, whose colours stay: the one thing that the log itself asks of a terminal.
fn visible_line(line: &str) -> String {
    let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
    let mut parts = line.split('\u{1b}');
    let mut out = visible::one_line(parts.next().unwrap_or_default()).into_owned();
    for part in parts {
        let parameters = part.strip_prefix('[').and_then(|part| part.split_once('m')).map(|(parameters, _)| parameters);
        let is_colour = parameters.is_some_and(|text| text.chars().all(|character| character.is_ascii_digit() || character == ';'));
        out.push_str(if is_colour { "\u{1b}" } else { "\\u{1b}" });
        out.push_str(&visible::one_line(part));
    }
    out + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_keeps_its_colours_and_nothing_else_that_is_obeyed() {
        let line = "\u{1b}[2m12:00\u{1b}[0m a\u{1b}]0;title\u{7} b\u{202e}c\nd\u{1b}[2J\n";
        assert_eq!(visible_line(line), "\u{1b}[2m12:00\u{1b}[0m a\\u{1b}]0;title\\u{7} b\\u{202e}c\\nd\\u{1b}[2J\n");
    }
}
