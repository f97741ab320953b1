//! `wiza-relay schema`: what a routes.yaml can hold, for editors.

use clap::Args;

use super::{Ending, out};
use crate::config::schema;

#[derive(Debug, Args)]
pub(super) struct Schema {
    /// The schema of `*.test.yaml` instead.
    #[arg(long)]
    tests: bool,
}

impl Schema {
    pub fn run(self) -> Ending {
        let schema = if self.tests { schema::tests_file() } else { schema::routes_file() };
        // The alternate form is indented, one keyword a line.
        out::line(format_args!("{schema:#}"));
        Ending::Good
    }
}
