//! Reading a routes.yaml from disk, and showing what was found in it.

use std::io::IsTerminal;
use std::path::Path;

use crate::config::{self, Config, Finding, Loaded, Severity};

/// Bytes of a routes.yaml at most.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A file that was read.
pub(super) struct File {
    pub text: String,
    pub loaded: Loaded,
}

/// Reads and validates a file; variables are those of the environment.
///
/// # Errors
/// Where the file cannot be read at all.
pub(super) fn read(path: &Path) -> Result<File, String> {
    let cannot = |reason: String| format!("cannot read {}: {reason}", path.display());
    let metadata = std::fs::metadata(path).map_err(|error| cannot(error.to_string()))?;
    if metadata.is_dir() {
        return Err(cannot("it is a folder; name the file".to_owned()));
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(cannot(format!("it has {} bytes, and {FILE_BYTES_MAX} is the most", metadata.len())));
    }
    let bytes = std::fs::read(path).map_err(|error| cannot(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        cannot(format!("line {line} is not UTF-8; save the file as UTF-8"))
    })?;
    let loaded = config::load(&path.display().to_string(), &text, &|name| std::env::var(name).ok());
    Ok(File { text, loaded })
}

impl File {
    /// Writes every finding to standard error, in colour on a terminal.
    pub fn show_findings(&self) {
        let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        for finding in &self.loaded.findings {
            eprintln!("{}", finding.render(&self.text, colour));
        }
    }

    /// The configuration, or how many errors stand in its way.
    pub fn into_config(self) -> Result<Config, usize> {
        let errors = count(&self.loaded.findings, Severity::Error);
        self.loaded.config.ok_or(errors)
    }
}

/// How many findings are of this severity.
pub(super) fn count(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}

/// A count with its noun: `1 error`, `2 errors`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
