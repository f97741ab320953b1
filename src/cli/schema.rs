//! `wiza-relay schema`: what a routes.yaml can hold, for editors.

use clap::Args;

use super::{Ending, out};
use crate::config::schema;

#[derive(Debug, Args)]
pub(super) struct Schema {
    /// The schema of `*.test.yaml` instead.
    #[arg(long)]
    tests: bool,
    /// The schema of files that a routes.yaml includes instead.
    #[arg(long, conflicts_with = "tests")]
    included: bool,
}

impl Schema {
    pub fn run(self) -> Ending {
        let schema = match (self.tests, self.included) {
            (true, _) => schema::tests_file(),
            (_, true) => schema::included_file(),
            _ => schema::routes_file(),
        };
        // The alternate form is indented, one keyword a line.
        out::line(format_args!("{schema:#}"));
        Ending::Good
    }
}
