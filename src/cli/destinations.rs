//! `wiza-relay destinations`, `pause` and `resume`: how destinations stand, and holding one back by hand.

use clap::Args;

use super::listing::{Output, column};
use super::{Ending, block_on, out};
use crate::admin::DestinationState;

#[derive(Debug, Args)]
pub(super) struct Destinations {
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Pause {
    /// The destination.
    name: String,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The destination.
    name: String,
    #[command(flatten)]
    output: Output,
}

impl Destinations {
    pub fn run(self) -> Ending {
        block_on(async move {
            let Output { json, remote } = self.output;
            let listed = async {
                let states: Vec<DestinationState> = remote.connect()?.get(&["api", "destinations"], &[]).await?;
                if !json {
                    out::line("DESTINATION           CIRCUIT   WAITING     PARKED      DEAD LETTERS  DELIVERED");
                }
                for state in &states {
                    show(state, json);
                }
                Ok(Ending::Good)
            };
            listed.await.unwrap_or_else(Ending::Failed)
        })
    }
}

impl Pause {
    pub fn run(self) -> Ending {
        set(self.name, "pause", self.output)
    }
}

impl Resume {
    pub fn run(self) -> Ending {
        set(self.name, "resume", self.output)
    }
}

fn set(name: String, verb: &'static str, Output { json, remote }: Output) -> Ending {
    block_on(async move {
        let set = async {
            let state: DestinationState = remote.connect()?.post(&["api", "destinations", &name, verb], None).await?;
            if json {
                out::json(&state);
                return Ok(Ending::Good);
            }
            let DestinationState { waiting, parked, .. } = state;
            match (verb, state.active) {
                ("pause", true) => out::line(format_args!("{name} is paused: {waiting} waiting; `wiza-relay resume {name}` goes on")),
                (_, true) => out::line(format_args!("{name} goes on: {waiting} waiting")),
                (_, false) => out::line(format_args!("{name} is {verb}d, but not in routes.yaml: {parked} parked until it is there again")),
            }
            Ok(Ending::Good)
        };
        set.await.unwrap_or_else(Ending::Failed)
    })
}

fn show(state: &DestinationState, json: bool) {
    if json {
        out::json(&state);
        return;
    }
    let since = [("probe at", &state.open_until), ("held until", &state.hold_until)];
    let notes: Vec<String> = since.iter().filter_map(|(what, at)| Some(format!("{what} {}", at.as_ref()?))).collect();
    let line = format!(
        "{}  {}  {}  {}  {}  {}  {}",
        column(&state.name, 20),
        column(&state.circuit, 8),
        column(&state.waiting.to_string(), 10),
        column(&state.parked.to_string(), 10),
        column(&state.dead_letters.to_string(), 12),
        column(&state.delivered.to_string(), 10),
        notes.join(", ")
    );
    out::line(line.trim_end());
}
