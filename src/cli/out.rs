//! Standard output, whose reader may leave early (`wiza-relay explain ... | head`).

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use rustix::fs::{FileType, Mode};

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

/// Where standard output is a file of the user's own, takes it from everybody else before personal data goes there. The
/// shell made it (`backup - > relay.db`), and with the usual umask everybody on the machine could read it.
pub(super) fn keep_private() -> std::io::Result<()> {
    let stdout = std::io::stdout();
    let file = rustix::fs::fstat(&stdout)?;
    let open_to_others = Mode::from_raw_mode(file.st_mode).intersects(Mode::RWXG | Mode::RWXO);
    let own = file.st_uid == rustix::process::geteuid().as_raw();
    if FileType::from_raw_mode(file.st_mode).is_file() && own && open_to_others {
        rustix::fs::fchmod(&stdout, Mode::RUSR | Mode::WUSR)?;
        eprintln!("others could read what standard output is written to; it is yours alone now (mode 0600)");
    }
    Ok(())
}
