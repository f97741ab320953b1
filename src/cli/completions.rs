//! `wiza-relay completions` and `wiza-relay man`: what shells and `man` know of the commands, made from the commands themselves.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use super::{Ending, out};

const NAME: &str = "wiza-relay";
/// clap_complete 4.6.11 spells the states of its bash script in two ways where a program's name has a hyphen, so that nothing is
/// completed behind a command (clap's issue 6421). Both become the one that the script sets.
const MISNAMED: &str = "wiza__subcmd__relay";
const NAMED: &str = "wiza__relay";

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell. For bash: `wiza-relay completions bash > ~/.local/share/bash-completion/completions/wiza-relay`.
    shell: Shell,
}

impl Completions {
    pub fn run(self, mut command: Command) -> Ending {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, NAME, &mut script);
        let mut script = String::from_utf8_lossy(&script).into_owned();
        if self.shell == Shell::Bash {
            script = script.replace(MISNAMED, NAMED);
        }
        out::styled(script);
        Ending::Good
    }
}

#[derive(Debug, Args)]
pub(super) struct Man {
    /// Write the pages of all commands into this folder, which must exist: `~/.local/share/man/man1`, for instance. Without it the page
    /// of `wiza-relay` itself is printed.
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

impl Man {
    pub fn run(self, command: Command) -> Ending {
        let written = match &self.to {
            Some(folder) => {
                clap_mangen::generate_to(command, folder).map_err(|error| format!("cannot write into {}: {error}", folder.display()))
            }
            None => {
                let mut page = Vec::new();
                let rendered = clap_mangen::Man::new(command).render(&mut page).map_err(|error| error.to_string());
                out::styled(String::from_utf8_lossy(&page));
                rendered
            }
        };
        written.map_or_else(Ending::Failed, |()| Ending::Good)
    }
}
