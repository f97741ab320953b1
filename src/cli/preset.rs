//! `wiza-relay preset`: what the presets of destinations stand for.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Ending, out};
use crate::config::{PRESETS, Preset, near};

#[derive(Debug, Args)]
pub(super) struct Presets {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List them, one a line.
    List {
        /// Print one JSON object a line instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Print what one stands for, as a destination that can be pasted in its place.
    Show {
        /// Its name, as in `preset: slack`.
        name: String,
    },
}

impl Presets {
    pub fn run(self) -> Ending {
        match self.verb {
            Verb::List { json: true } => {
                PRESETS.iter().for_each(|preset| out::json(&json!({ "name": preset.name, "summary": preset.summary })));
            }
            Verb::List { json: false } => {
                let width = PRESETS.iter().map(|preset| preset.name.len()).max().unwrap_or(0);
                PRESETS.iter().for_each(|preset| out::line(format_args!("{:<width$}  {}", preset.name, preset.summary)));
            }
            Verb::Show { name } => match PRESETS.iter().find(|preset| preset.name == name) {
                Some(preset) => out::line(format_args!("{}", shown(preset).trim_end())),
                None => {
                    let begins = || PRESETS.iter().map(|preset| preset.name).find(|known| known.starts_with(&name));
                    let near = near(&name, PRESETS.iter().map(|preset| preset.name)).or_else(begins);
                    let hint =
                        near.map_or_else(|| "`wiza-relay preset list` has them all".to_owned(), |near| format!("did you mean `{near}`?"));
                    return Ending::Misused(format!("there is no preset `{name}`; {hint}"));
                }
            },
        }
        Ending::Good
    }
}

/// A section `destinations` that says what the preset says.
fn shown(preset: &Preset) -> String {
    let mut text = format!(
        "# In place of `preset: {}`; the first keys are what one writes beside it.\ndestinations:\n  {}:\n",
        preset.name, preset.name
    );
    for line in preset.own.lines().chain([""]).chain(preset.text.lines()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", format!("    {line}").trim_end());
    }
    text
}
