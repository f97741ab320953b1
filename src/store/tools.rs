//! What can be done with a store by itself, also while no relay has it open. An engine answers for what it can do; what it
//! cannot is refused in words that say what to use in its place.

use std::io;
use std::path::Path;

use serde::Serialize;

use super::{Audit, StoreError};

/// The verbs. Each that an engine leaves as it is here is one that it cannot do.
pub trait Tools {
    /// What this engine is called, for an error: `the embedded store`.
    fn engine(&self) -> &'static str;

    /// What to use in the place of a verb that is not here, for an error: `pg_dump`.
    fn instead(&self, verb: Verb) -> &'static str;

    /// Walks the whole store and adds up.
    ///
    /// # Errors
    /// There is no store, it cannot be read, or the engine cannot do this.
    fn audit(&self) -> Result<Audit, StoreError> {
        Err(unable(self.engine(), Verb::Audit, self.instead(Verb::Audit)))
    }

    /// Makes a copy of one moment, also while a relay works on the store. It lies in the folder `into` until it is kept or dropped.
    ///
    /// # Errors
    /// There is no store, it cannot be read, there is no room, or the engine cannot do this.
    fn back_up(&self, _into: &Path) -> Result<Box<dyn BackUp>, StoreError> {
        Err(unable(self.engine(), Verb::BackUp, self.instead(Verb::BackUp)))
    }

    /// Hands every event that can be read to `write`, in the order of acceptance, also those of a damaged store.
    ///
    /// # Errors
    /// There is no store, nothing of it can be read, `write` fails, or the engine cannot do this.
    fn export(&self, _write: &mut dyn FnMut(&ExportedEvent) -> io::Result<()>) -> Result<Exported, StoreError> {
        Err(unable(self.engine(), Verb::Export, self.instead(Verb::Export)))
    }
}

/// A verb of [`Tools`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// [`Tools::audit`].
    Audit,
    /// [`Tools::back_up`].
    BackUp,
    /// [`Tools::export`].
    Export,
}

impl Verb {
    /// As in `cannot be ... by`.
    fn done(self) -> &'static str {
        match self {
            Self::Audit => "audited",
            Self::BackUp => "backed up",
            Self::Export => "exported",
        }
    }
}

fn unable(engine: &'static str, verb: Verb, instead: &'static str) -> StoreError {
    StoreError::Unable { engine, done: verb.done(), instead }
}

/// A copy that is whole and has no name yet. Dropped, it is deleted.
pub trait BackUp {
    /// What its books say.
    fn audit(&self) -> &Audit;

    /// Gives the copy its name, in the folder that it was made in.
    ///
    /// # Errors
    /// There is a file of that name, or the folder cannot be written to.
    fn keep(self: Box<Self>, path: &Path) -> io::Result<()>;

    /// Writes the copy out.
    ///
    /// # Errors
    /// It cannot be read, or `to` cannot be written to.
    fn write_to(self: Box<Self>, to: &mut dyn io::Write) -> io::Result<()>;
}

/// One event with what became of it.
#[derive(Debug, Serialize)]
pub struct ExportedEvent {
    /// The relay's own id.
    pub id: String,
    /// When the webhook's body was complete, by RFC 3339.
    pub received_at: String,
    /// `routed`, `unmatched` or `quarantined`.
    pub status: &'static str,
    /// The payload's `type`, if it has one.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What followed the source's path.
    pub path: String,
    /// The query string, without its `?`.
    pub query: String,
    /// The name of the API key that it came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The body as text, byte for byte; `null` where it is none.
    pub body: Option<String>,
    /// The body in hexadecimal, where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_hex: Option<String>,
    /// `null` where they cannot be read.
    pub deliveries: Option<Vec<ExportedDelivery>>,
    /// The row is not what was written: something in it has changed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
}

/// One of its deliveries.
#[derive(Debug, Serialize)]
pub struct ExportedDelivery {
    /// Where it goes.
    pub destination: String,
    /// Where it stands, in the word of the listings.
    pub status: &'static str,
    /// Attempts that count against the limit.
    pub attempts: u32,
    /// The HTTP status of the last attempt.
    pub last_status: Option<u16>,
    /// Why the last attempt failed, or why it was given up.
    pub last_error: Option<String>,
}

/// What an export found.
#[derive(Debug, Default)]
pub struct Exported {
    /// Events that were read.
    pub events: u64,
    /// Those of them that are damaged, in themselves or in what is known of their deliveries.
    pub damaged: u64,
    /// What could not be read, in words.
    pub lost: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An engine that has none of the verbs.
    struct Bare;

    impl Tools for Bare {
        fn engine(&self) -> &'static str {
            "a store on another server"
        }

        fn instead(&self, verb: Verb) -> &'static str {
            match verb {
                Verb::BackUp => "that server's own back-up",
                Verb::Audit | Verb::Export => "the API of a running relay",
            }
        }
    }

    #[test]
    fn what_an_engine_cannot_do_says_what_to_use_in_its_place() {
        let refused = [
            Bare.audit().map(|_| ()).unwrap_err(),
            Bare.back_up(Path::new(".")).map(|_| ()).unwrap_err(),
            Bare.export(&mut |_| Ok(())).map(|_| ()).unwrap_err(),
        ];
        assert_eq!(
            refused.map(|error| error.to_string()),
            [
                "a store on another server cannot be audited by this command; use the API of a running relay",
                "a store on another server cannot be backed up by this command; use that server's own back-up",
                "a store on another server cannot be exported by this command; use the API of a running relay",
            ]
        );
    }
}
