//! `wiza-relay init`: a routes.yaml to begin with, a payload and tests, and what to type next.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Ending, out, wiza};

/// What is written: a path within the folder, and the text.
const RULES: (&str, &str) = ("routes.yaml", include_str!("init/routes.yaml"));
const TESTS: (&str, &str) = ("routes.test.yaml", include_str!("init/routes.test.yaml"));
const PAYLOAD: (&str, &str) = ("samples/valid.json", wiza::VALID);

#[derive(Debug, Args)]
pub(super) struct Init {
    /// The folder. It is made if it does not exist.
    #[arg(default_value = ".", value_name = "FOLDER")]
    folder: PathBuf,
}

impl Init {
    pub fn run(self) -> Ending {
        let files = [RULES, TESTS, PAYLOAD];
        let there: Vec<&str> =
            files.iter().map(|(name, _)| *name).filter(|name| self.folder.join(name).symlink_metadata().is_ok()).collect();
        if !there.is_empty() {
            let there: Vec<String> = there.into_iter().map(|name| self.shown(name)).collect();
            let names = there.join(", ");
            return Ending::Failed(format!("already there: {names}; nothing was written. Name another folder: `wiza-relay init FOLDER`"));
        }
        for (name, text) in files {
            if let Err(reason) = write(&self.folder.join(name), text) {
                return Ending::Failed(reason);
            }
        }
        let at = |name: &str| self.shown(name);
        let (rules, tests, payload) = (at(RULES.0), at(TESTS.0), at(PAYLOAD.0));
        let width = [&rules, &tests, &payload].into_iter().map(|path| path.chars().count()).max().unwrap_or(0);
        out::line(format_args!(
            "Written:\n  {rules:width$}  the rules\n  {tests:width$}  what they have to do\n  {payload:width$}  a webhook as Wiza posts it\n\n\
             Next:\n  wiza-relay check --no-env {rules}\n  wiza-relay test {rules}\n  wiza-relay explain {rules} {payload}\n\n\
             None of these sends anything or needs a secret. `wiza-relay serve` does, once the variables are set that the rules name."
        ));
        Ending::Good
    }

    /// The path as one would type it from here.
    fn shown(&self, name: &str) -> String {
        let path = self.folder.join(name);
        path.strip_prefix(".").unwrap_or(&path).display().to_string()
    }
}

/// Writes a new file, and makes its folder.
fn write(path: &Path, text: &str) -> Result<(), String> {
    if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
        std::fs::create_dir_all(folder).map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))?;
    }
    File::create_new(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}
