//! `wiza-relay redrive`: dead deliveries are sent again.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use clap::Args;
use serde_json::json;

use super::listing::Filters;
use super::remote::{Relay, Remote};
use super::{Ending, block_on, out};
use crate::wire::destinations::DestinationState;
use crate::wire::redrive::{RedriveAnswer, RedriveFilter, RedriveRequest};

#[derive(Debug, Args)]
pub(super) struct Redrive {
    /// These deliveries, `<event id>_<destination>` each; without any, those that the filters find.
    #[arg(value_name = "ID", conflicts_with_all = ["destination", "route", "account", "since", "until", "search", "all"])]
    ids: Vec<String>,
    /// All that are dead, whatever their destination.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filters: Filters,
    /// How many become due a second, so that new events are not crowded out; 0: all at once.
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    rate: u32,
    /// Only say how many there are.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before it is done.
    #[arg(long, short)]
    yes: bool,
    /// Answer as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Redrive {
    pub fn run(self) -> Ending {
        let Filters { destination, route, account, since, until, search } = &self.filters;
        let unfiltered = [destination, route, account, since, until, search].iter().all(|filter| filter.is_none());
        if self.ids.is_empty() && unfiltered && !self.all {
            return Ending::Misused("say which: ids, a filter such as --destination, or --all".to_owned());
        }
        block_on(async move { self.redrive().await.unwrap_or_else(Ending::Failed) })
    }

    async fn redrive(self) -> Result<Ending, String> {
        let Filters { destination, route, account, since, until, search } = self.filters;
        let filter = RedriveFilter { destination, route, account, since, until, search };
        let filter = self.ids.is_empty().then_some(filter);
        let mut request = RedriveRequest { ids: self.ids, filter, per_second: Some(self.rate), dry_run: true };
        let relay = self.remote.connect()?;
        let path = ["api", "deliveries", "redrive"];
        let found: RedriveAnswer = relay.post(&path, Some(json!(request))).await?;
        let ending = if found.already == 0 { Ending::Good } else { Ending::No };
        if self.dry_run || found.matched == 0 {
            tell(&found, self.json, "dead ", if self.dry_run { "" } else { "; nothing is queued" });
            refuse(&found);
            return Ok(ending);
        }
        if !self.yes {
            tell(&found, false, "dead ", "");
            refuse(&found);
            match agreed() {
                Some(true) => {}
                Some(false) => return Ok(Ending::No),
                None => return Ok(Ending::Misused("nobody is there to be asked; add --yes".to_owned())),
            }
        }
        request.dry_run = false;
        let done: RedriveAnswer = relay.post(&path, Some(json!(request))).await?;
        let pace = if self.rate == 0 { ", all at once".to_owned() } else { format!(", {} due a second", self.rate) };
        tell(&done, self.json, "", &format!(" queued again{pace}"));
        if self.yes {
            refuse(&done); // Whoever was asked has read it above the question.
        }
        if done.planned < found.matched {
            out::note(format_args!("{} of the {} that were found were dead no longer", found.matched - done.planned, found.matched));
        }
        warn_of_those_held(&relay, &done).await?;
        Ok(ending)
    }
}

/// Says of the ids that are not dead what they are.
fn refuse(answer: &RedriveAnswer) {
    for refused in &answer.refused {
        out::note(format_args!("wiza-relay: {}", refused.reason));
    }
    let told = u64::try_from(answer.refused.len()).unwrap_or(u64::MAX);
    if answer.already > told {
        out::note(format_args!("wiza-relay: {} more are not dead", answer.already - told));
    }
}

/// Says which of them go nowhere before somebody does something.
async fn warn_of_those_held(relay: &Relay, answer: &RedriveAnswer) -> Result<(), String> {
    let states: Vec<DestinationState> = relay.get(&["api", "destinations"], &[]).await?;
    for DestinationState { name, active, circuit, open_until, .. } in
        states.iter().filter(|state| answer.destinations.iter().any(|found| found.destination == state.name))
    {
        if !active {
            out::note(format_args!("{name} is not in routes.yaml: they are parked until it is there again"));
        } else if circuit == "gone" || circuit == "paused" {
            out::note(format_args!("{name} is {circuit}: they wait for `wiza-relay resume {name}`"));
        } else if circuit == "open" {
            let probe = open_until.as_deref().map(|at| format!("; a probe goes at {at}")).unwrap_or_default();
            out::note(format_args!("the circuit of {name} is open: they wait until a probe arrives{probe}"));
        }
    }
    Ok(())
}

/// `2 dead deliveries`, or `2 deliveries queued again, ...`, and by destination.
fn tell(answer: &RedriveAnswer, json: bool, before: &str, after: &str) {
    if json {
        out::json(answer);
        return;
    }
    let noun = if answer.matched == 1 { "delivery" } else { "deliveries" };
    out::line(format_args!("{} {before}{noun}{after}", answer.matched));
    for found in &answer.destinations {
        out::line(format_args!("  {}: {}", found.destination, found.count));
    }
}

/// Asks; `None` where nobody sits there.
fn agreed() -> Option<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return None;
    }
    eprint!("Send them again? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).ok()?;
    Some(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
