//! Standard output, whose reader may leave early (`wiza-relay explain ... | head`).

use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Writes a text.
pub(super) fn print(text: impl Display) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = write!(out, "{text}").and_then(|()| out.flush())
        && error.kind() == ErrorKind::BrokenPipe
    {
        // Nobody reads on, so nothing more needs to be said.
        std::process::exit(0);
    }
}

/// Writes a text and a line feed.
pub(super) fn line(text: impl Display) {
    print(format_args!("{text}\n"));
}
