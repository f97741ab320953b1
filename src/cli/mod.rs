//! The command line: what a user types, and one file a command.

mod addresses;
mod audit;
mod backup;
mod check;
mod completions;
mod deliveries;
mod demo;
mod destinations;
mod events;
mod explain;
mod export;
mod init;
mod listing;
mod load;
mod logs;
mod narrator;
mod out;
mod preset;
mod receivers;
mod redrive;
mod release;
mod reload;
mod remote;
mod rules;
mod schema;
mod screen;
mod send;
mod serve;
mod store;
mod table;
mod test;
mod wiza;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::core_dumps;

/// Receives Wiza's webhooks durably and forwards them, by rules in one YAML file, to several places at once.
#[derive(Debug, Parser)]
#[command(name = "wiza-relay", version, max_term_width = 110, after_help = FIRST_STEPS)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const FIRST_STEPS: &str = "\
First steps:
  wiza-relay demo                             see it work on this machine, with nothing else
  wiza-relay init relay && cd relay           your own routes.yaml, with a test
  wiza-relay check --no-env && wiza-relay test
  wiza-relay explain routes.yaml valid        what would happen to a webhook, and why

`wiza-relay COMMAND --help` says more and has examples.
Exit codes: 0 success; 1 the answer is no, or the command failed; 2 the arguments are wrong.";

/// In the order in which one comes to need them.
#[derive(Debug, Subcommand)]
enum Command {
    /// See it work: a relay, receivers and sample webhooks on this machine, with nothing else to start.
    #[command(
        after_help = "Examples:\n  wiza-relay demo           until Ctrl-C\n  wiza-relay demo --once    play every sample once, check that all arrived, exit"
    )]
    Demo(demo::Demo),
    /// Write a first routes.yaml, a sample payload and tests.
    #[command(after_help = "Examples:\n  wiza-relay init           here\n  wiza-relay init relay     in a folder of that name")]
    Init(init::Init),
    /// Check a routes.yaml and show all its mistakes.
    #[command(
        after_help = "Examples:\n  wiza-relay check                                  routes.yaml, with the variables that are set\n  wiza-relay check --no-env --strict routes.yaml    in CI: without secrets, and no warning either\n  wiza-relay check --json | jq -r '.findings[] | \"\\(.file):\\(.line): \\(.message)\"'"
    )]
    Check(check::Check),
    /// Show what would happen to an event and why, and send nothing.
    #[command(
        after_help = "Examples:\n  wiza-relay explain routes.yaml valid              a sample of Wiza's\n  wiza-relay explain routes.yaml payload.json --path emea --query campaign=q4\n  wiza-relay events show ID --json | jq .body | wiza-relay explain routes.yaml -"
    )]
    Explain(explain::Explain),
    /// Run the tests in a routes.yaml and in the `*.test.yaml` files beside it.
    #[command(after_help = "Examples:\n  wiza-relay test\n  wiza-relay test routes.yaml --only Slack --junit report.xml")]
    Test(test::Test),
    /// Run the relay.
    #[command(
        after_help = "Examples:\n  wiza-relay serve\n  wiza-relay serve routes.yaml --store /var/lib/wiza-relay --admin 0.0.0.0:9090 --admin-token-file token"
    )]
    Serve(serve::Serve),
    /// Post sample webhooks to a relay, as Wiza does.
    #[command(
        after_help = "Examples:\n  wiza-relay send --sample failed\n  wiza-relay send --sample payload.json --url 'http://127.0.0.1:8080/webhooks/wiza/emea?campaign=q4'\n  wiza-relay send --count 1000 --rate 100 --concurrency 8"
    )]
    Send(send::Send),
    /// Show the state of a running relay's destinations.
    Destinations(destinations::Destinations),
    /// List, follow or show the deliveries of a running relay.
    #[command(
        after_help = "Examples:\n  wiza-relay deliveries --status dead --since 1d\n  wiza-relay deliveries --destination crm --follow\n  wiza-relay deliveries show ID"
    )]
    Deliveries(deliveries::Deliveries),
    /// List, follow or show the events of a running relay, or release them from quarantine.
    #[command(
        after_help = "Examples:\n  wiza-relay events --since 1h\n  wiza-relay events --search ada@example.com --json | jq -r .id\n  wiza-relay events release ID"
    )]
    Events(events::Events),
    /// Send dead deliveries again.
    #[command(
        after_help = "Examples:\n  wiza-relay redrive --destination crm --since 12h --dry-run\n  wiza-relay redrive --destination crm --since 12h --rate 5"
    )]
    Redrive(redrive::Redrive),
    /// Make a running relay read its rules again, and show the version in effect.
    Reload(reload::Reload),
    /// Send nothing to a destination until it is resumed.
    Pause(destinations::Pause),
    /// Go on sending to a destination, whatever stopped it.
    Resume(destinations::Resume),
    /// Check that no delivery is missing in a store.
    Audit(audit::Audited),
    /// Copy a store into a file, also while a relay works on it.
    #[command(
        after_help = "Examples:\n  wiza-relay backup --store ./data relay.db\n  wiza-relay backup --store ./data - | gzip > relay.db.gz"
    )]
    Backup(backup::Backup),
    /// Print every event of a store, also of a damaged one.
    Export(export::Export),
    /// List the presets of destinations, or print the keys of one.
    Preset(preset::Presets),
    /// Print the JSON Schema of routes.yaml, with which editors complete and check while you type.
    Schema(schema::Schema),
    /// Print what a shell needs to complete commands and flags.
    Completions(completions::Completions),
    /// Print the manual page, or write the manual pages of all commands.
    Man(completions::Man),
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
        Command::Reload(reload) => reload.run(),
        Command::Pause(pause) => pause.run(),
        Command::Resume(resume) => resume.run(),
        Command::Audit(audit) => audit.run(),
        Command::Backup(backup) => backup.run(),
        Command::Preset(presets) => presets.run(),
        Command::Schema(schema) => schema.run(),
        Command::Completions(completions) => completions.run(Arguments::command()),
        Command::Man(man) => man.run(Arguments::command()),
        Command::Init(init) => init.run(),
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
