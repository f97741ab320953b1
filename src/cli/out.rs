//! Standard output, whose reader may leave early (`wiza-relay explain ... | head`), and standard error. Both may be a terminal, and
//! much of what is written comes from strangers: all of it is written so that a terminal shows it and obeys none of it.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use rustix::fs::{FileType, Mode};
use serde::Serialize;

use crate::visible;

/// Writes a text that is styled, and whose parts have been through [`visible`].
pub(super) fn styled(text: impl Display) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = write!(out, "{text}").and_then(|()| out.flush())
        && error.kind() == ErrorKind::BrokenPipe
    {
        // Nobody reads on, so nothing more needs to be said.
        std::process::exit(0);
    }
}

/// Writes a text, of several lines perhaps.
pub(super) fn print(text: impl Display) {
    styled(visible::lines(&text.to_string()));
}

/// Writes a text and a line feed.
pub(super) fn line(text: impl Display) {
    print(format_args!("{text}\n"));
}

/// Writes a value as JSON, and a line feed. What a terminal would obey is written as `\u001b`, which is the same JSON.
pub(super) fn json(value: &(impl Serialize + ?Sized)) {
    styled(format_args!("{}\n", visible::json(&serde_json::to_string(value).unwrap_or_default())));
}

/// Writes a text and a line feed to standard error.
pub(super) fn note(text: impl Display) {
    styled_note(visible::lines(&text.to_string()));
}

/// Writes a styled text, whose parts have been through [`visible`], and a line feed to standard error.
pub(super) fn styled_note(text: impl Display) {
    // Nobody is left to be told that nobody can be told.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Where standard output is a file of the user's own, takes it from everybody else before personal data goes there. The
/// shell made it (`backup - > relay.db`), and with the usual umask everybody on the machine could read it.
pub(super) fn keep_private() -> std::io::Result<()> {
    let stdout = std::io::stdout();
    let file = rustix::fs::fstat(&stdout)?;
    let open_to_others = Mode::from_raw_mode(file.st_mode).intersects(Mode::RWXG | Mode::RWXO);
    let own = file.st_uid == rustix::process::geteuid().as_raw();
    if FileType::from_raw_mode(file.st_mode).is_file() && own && open_to_others {
        rustix::fs::fchmod(&stdout, Mode::RUSR | Mode::WUSR)?;
        note("others could read what standard output is written to; it is yours alone now (mode 0600)");
    }
    Ok(())
}
