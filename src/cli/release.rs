//! `wiza-relay events release`: events leave quarantine and are routed by the rules in effect now.

use clap::Args;

use super::listing::Output;
use super::{Ending, block_on, out};
use crate::wire::release::ReleaseAnswer;

#[derive(Debug, Args)]
pub(super) struct Release {
    /// The events. One that is still not a JSON object stays in quarantine, and the reason is said.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    output: Output,
}

impl Release {
    pub fn run(self) -> Ending {
        block_on(async move { self.release().await.unwrap_or_else(Ending::Failed) })
    }

    async fn release(self) -> Result<Ending, String> {
        let Output { json, remote, .. } = self.output;
        let relay = remote.connect()?;
        let mut ending = Ending::Good;
        for id in self.ids {
            match relay.post::<ReleaseAnswer>(&["api", "events", &id, "release"], None).await {
                Ok(answer) if json => out::json(&answer),
                Ok(answer) => out::line(told(&answer)),
                Err(reason) => {
                    out::note(format_args!("wiza-relay: {reason}"));
                    ending = Ending::No;
                }
            }
        }
        Ok(ending)
    }
}

fn told(answer: &ReleaseAnswer) -> String {
    let ReleaseAnswer { id, routes, deliveries, .. } = answer;
    match (routes.as_slice(), deliveries.as_slice()) {
        ([], []) => format!("{id} left quarantine; no route took it"),
        (routes, []) => format!("{id} left quarantine by {}; nothing is to be delivered", routes.join(", ")),
        ([], deliveries) => format!("{id} left quarantine; no route took it, so it goes to {}", deliveries.join(", ")),
        (routes, deliveries) => format!("{id} left quarantine by {}: {}", routes.join(", "), deliveries.join(", ")),
    }
}
