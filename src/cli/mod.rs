//! The command line: what a user types, and one file a command.

mod audit;
mod backup;
mod check;
mod deliveries;
mod demo;
mod destinations;
mod events;
mod explain;
mod export;
mod listing;
mod load;
mod logs;
mod narrator;
mod out;
mod receivers;
mod redrive;
mod release;
mod remote;
mod schema;
mod send;
mod serve;
mod test;
mod wiza;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::core_dumps;

/// Receives Wiza's webhooks durably and forwards them, by rules in one YAML file, to several places at once.
#[derive(Debug, Parser)]
#[command(name = "wiza-relay", version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay.
    Serve(serve::Serve),
    /// See it work: a relay, receivers and sample webhooks on this machine, with nothing else to start.
    Demo(demo::Demo),
    /// Play Wiza: post signed sample webhooks to a relay.
    Send(send::Send),
    /// Validate a routes.yaml, and find all its errors.
    Check(check::Check),
    /// See what would become of an event and why, without sending anything.
    Explain(explain::Explain),
    /// Print every event that a store holds, also what can be read of a damaged one.
    Export(export::Export),
    /// Run the tests that a routes.yaml and the `*.test.yaml` beside it hold.
    Test(test::Test),
    /// List, follow or show what a running relay has received, or have it leave quarantine.
    Events(events::Events),
    /// List, follow or show what a running relay has sent, or is to send.
    Deliveries(deliveries::Deliveries),
    /// Have a running relay send dead deliveries again.
    Redrive(redrive::Redrive),
    /// See how a running relay's destinations stand.
    Destinations(destinations::Destinations),
    /// Have a running relay send nothing to a destination until it is resumed.
    Pause(destinations::Pause),
    /// Have a running relay go on sending to a destination, whatever held it back.
    Resume(destinations::Resume),
    /// Walk a store and check that no delivery is missing from its books.
    Audit(audit::Audited),
    /// Copy a store into a file, also while a relay works on it.
    Backup(backup::Backup),
    /// Print the JSON Schema of routes.yaml, with which editors complete and check while you type.
    Schema(schema::Schema),
}

/// How a command ended.
enum Ending {
    /// Fine.
    Good,
    /// The answer is no: a check or a run that failed. What was wrong has been said.
    No,
    /// The command could not do its work, for this reason.
    Failed(String),
    /// The command was called in a way that makes no sense, for this reason.
    Misused(String),
    /// As one of the two before, but the log has said why; this is the exit code.
    Logged(u8),
}

/// Runs the command of the process' arguments. Exit codes: 0 fine, 1 the answer is no or it failed, 2 misuse.
pub fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    // A sandbox may forbid it; whoever made that one has taken the decision.
    let dumps = core_dumps::forbid();
    let ending = match command {
        Command::Serve(serve) => serve.run(dumps),
        Command::Demo(demo) => demo.run(),
        Command::Send(send) => send.run(),
        Command::Check(check) => check.run(),
        Command::Explain(explain) => explain.run(),
        Command::Export(export) => export.run(),
        Command::Test(test) => test.run(),
        Command::Events(events) => events.run(),
        Command::Deliveries(deliveries) => deliveries.run(),
        Command::Redrive(redrive) => redrive.run(),
        Command::Destinations(destinations) => destinations.run(),
        Command::Pause(pause) => pause.run(),
        Command::Resume(resume) => resume.run(),
        Command::Audit(audit) => audit.run(),
        Command::Backup(backup) => backup.run(),
        Command::Schema(schema) => schema.run(),
    };
    match ending {
        Ending::Good => ExitCode::SUCCESS,
        Ending::No => ExitCode::from(1),
        Ending::Failed(reason) => say(&reason, 1),
        Ending::Misused(reason) => say(&reason, 2),
        Ending::Logged(code) => ExitCode::from(code),
    }
}

fn say(reason: &str, code: u8) -> ExitCode {
    out::note(format_args!("wiza-relay: {reason}"));
    ExitCode::from(code)
}

/// Runs a command's asynchronous part.
fn block_on(work: impl Future<Output = Ending>) -> Ending {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let ending = runtime.block_on(work);
            // A blocking read of the store must not hold up the end.
            runtime.shutdown_background();
            ending
        }
        Err(error) => Ending::Failed(format!("cannot start threads: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// What variables may say to a command other than `serve`: where rules, secrets, a store and a relay are, and how to show oneself
    /// there. Never what is done, to what, or without being asked.
    const WAYS: [&str; 8] = [
        "WIZA_RELAY_CONFIG",
        "WIZA_RELAY_SECRETS_FROM",
        "WIZA_RELAY_STORE",
        "WIZA_RELAY_ADMIN_URL",
        "WIZA_RELAY_ADMIN_TOKEN",
        "WIZA_RELAY_ADMIN_TOKEN_FILE",
        "WIZA_RELAY_URL",
        "WIZA_API_KEY",
    ];

    /// Calls `look` with every command's name, those within commands too, and each of its arguments.
    fn every_argument(command: &clap::Command, name: &str, look: &mut impl FnMut(&str, &clap::Arg)) {
        for argument in command.get_arguments() {
            look(name, argument);
        }
        for within in command.get_subcommands() {
            every_argument(within, format!("{name} {}", within.get_name()).trim(), look);
        }
    }

    #[test]
    fn variables_stand_in_for_flags_of_serve_and_for_ways_to_a_relay_and_for_nothing_that_acts() {
        let mut seen = 0;
        every_argument(&Arguments::command(), "", &mut |command, argument| {
            let Some(variable) = argument.get_env().and_then(|variable| variable.to_str()) else { return };
            seen += 1;
            if command == "serve" {
                let flag = argument.get_long().unwrap().replace('-', "_").to_uppercase();
                assert_eq!(variable, format!("WIZA_RELAY_{flag}"));
            } else {
                assert!(WAYS.contains(&variable), "`{command}` reads {variable} for {argument}");
                assert!(argument.get_action().takes_values(), "`{command}`: {variable} would switch {argument} on");
            }
        });
        assert!(seen > 20, "{seen}");
    }

    #[test]
    fn every_flag_of_serve_has_a_variable() {
        every_argument(&Arguments::command(), "", &mut |command, argument| {
            if command == "serve" && argument.get_long().is_some_and(|flag| flag != "help") {
                assert!(argument.get_env().is_some(), "{argument}");
            }
        });
    }

    #[test]
    fn the_commands_fit_together() {
        Arguments::command().debug_assert();
    }
}
