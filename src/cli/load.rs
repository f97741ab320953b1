//! Reading a routes.yaml from disk, and showing what was found in it.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;

use super::addresses::near_file;
use super::out;
use crate::config::{Config, Finding, Loaded, RuleFiles, Severity};
use crate::rules_file::RulesFile;

/// Bytes of a payload at most: more than the relay ever takes.
const PAYLOAD_BYTES_MAX: u64 = 64 << 20;

/// Where the values of `${NAME}` are.
#[derive(Debug, Clone, Args)]
pub(super) struct Secrets {
    /// Take the values of `${NAME}` from the files in this folder, as Kubernetes mounts a Secret, and no value from the environment.
    #[arg(long, env = "WIZA_RELAY_SECRETS_FROM", value_name = "FOLDER")]
    secrets_from: Option<PathBuf>,
}

impl Secrets {
    /// The rules at this path, which take their values from there.
    pub fn of(&self, path: &Path) -> RulesFile {
        RulesFile::new(path).with_secrets_from(self.secrets_from.clone())
    }
}

/// Rules that were read.
pub(super) struct File {
    pub files: RuleFiles,
    pub loaded: Loaded,
}

/// The texts of the rules; one that cannot be read has the file that was probably meant in its error.
fn texts_of(file: &RulesFile) -> Result<RuleFiles, String> {
    file.read().map(|read| read.files).map_err(|error| format!("{error}{}", near_file(file.path())))
}

/// Reads and validates a file.
///
/// # Errors
/// Where the file cannot be read at all.
pub(super) fn read(file: &RulesFile) -> Result<File, String> {
    let files = texts_of(file)?;
    let loaded = file.load(&files);
    Ok(File { files, loaded })
}

/// The same for a dry run, which needs no secrets. Says which values something else stands in for.
pub(super) fn read_for_dry_run(file: &RulesFile) -> Result<File, String> {
    let files = texts_of(file)?;
    let loaded = file.load_for_dry_run(&files);
    if !loaded.stood_in_for.is_empty() {
        out::note(format_args!("without a value here, so shown by name only: {}", loaded.stood_in_for.join(", ")));
    }
    Ok(File { files, loaded })
}

/// Reads and validates a file whose values are not to be had: each `${NAME}` stands for itself, whatever the environment holds.
///
/// # Errors
/// Where the file cannot be read at all.
pub(super) fn read_without_values(path: &Path) -> Result<File, String> {
    read_for_dry_run(&RulesFile::new(path).without_values())
}

/// The bytes of a payload; `-` is standard input.
pub(super) fn read_payload(path: &Path) -> Result<Bytes, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}{}", path.display(), near_file(path));
    let mut bytes = Vec::new();
    let limit = PAYLOAD_BYTES_MAX + 1;
    if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(cannot)?;
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(cannot)?;
    }
    if bytes.len() as u64 > PAYLOAD_BYTES_MAX {
        return Err(format!("{} is longer than {PAYLOAD_BYTES_MAX} bytes", path.display()));
    }
    Ok(Bytes::from(bytes))
}

/// Whether to write in colour there.
pub(super) fn in_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Writes findings to standard error, in colour on a terminal.
pub(super) fn show_findings(findings: &[Finding], files: &RuleFiles) {
    let colour = in_colour(&std::io::stderr());
    for finding in findings {
        out::styled_note(finding.render(files.text_of(&finding.file), colour));
    }
}

impl File {
    /// Writes every finding to standard error, in colour on a terminal.
    pub fn show_findings(&self) {
        show_findings(&self.loaded.findings, &self.files);
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
