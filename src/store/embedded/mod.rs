//! The embedded engine: SQLite in a folder, for one relay.
//!
//! Each folder is for one thing, and imports go down this list:
//!
//! - `open` opens a store, `engine` has the verbs of the live path, `records` those of the operator; `backup` copies a store while it is
//!   worked on, `claim` gets deliveries out of windows, `configure` makes a version of the rules the one in effect.
//! - `writer` is the only thread that writes: it gathers what has come, has `write` commit it, and calls `upkeep` between two commits.
//! - `upkeep`: `retention` deletes, by the time in `believed`, and has `give_up` end what is held back; `expiry` ends what is not worth
//!   sending any more; `checkpoint` keeps the log short; `leftovers` clears what deleted rows leave behind in the file; `clock` notices that
//!   the wall clock was set back.
//! - `write`: what one transaction does. `session` is what it works on, `handover` where lanes put what the next commit takes. `commit` has
//!   new events and outcomes; `batch` keeps deliveries together that go in one request, `line` those of one order key one behind another;
//!   `standing` keeps how destinations stand, `dedupe` what was seen; `redrive` and `release` are the operator's.
//! - `read`: `readers` are the connections, `due` and `backlog` fetch what is behind the windows; for the operator `listing`, `histories`,
//!   `redrivable`, `audit`, and `export`, which reads what can be read of a damaged store.
//! - `window`: what is in memory of each destination, in front of its backlog.
//! - `failures` knows what has gone wrong, `changes` tells followers what each commit touched.
//! - `rows`: what stands in the tables, and the one way between a row and what it means. `schema` has the tables of all versions.
//! - `disk`: the files, whose they are, and what damage shows in them.
//!
//! Limits: `APPENDS_WAITING_MAX` appends and `SETTLEMENTS_WAITING_MAX` settlements handed over and not written;
//! the windows' limits are in `window/entries.rs`.

mod backup;
mod changes;
mod claim;
mod configure;
#[cfg(test)]
mod contract_tests;
mod disk;
mod engine;
mod failures;
mod open;
mod read;
mod records;
mod rows;
mod tools;
mod upkeep;
mod window;
mod write;
mod writer;

pub use self::backup::folder_of;
pub use self::engine::Embedded;
pub use self::open::Options;
#[cfg(test)]
pub use self::open::Stepped;
pub use self::tools::Place;
pub use self::writer::CommitObserver;
