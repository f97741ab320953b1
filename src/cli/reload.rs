//! `wiza-relay reload`: a running relay reads its rules anew, and says which are in effect then.

use clap::Args;
use serde_json::Value;

use super::listing::Output;
use super::{Ending, block_on, out};

#[derive(Debug, Args)]
pub(super) struct Reload {
    #[command(flatten)]
    output: Output,
}

impl Reload {
    pub fn run(self) -> Ending {
        block_on(async move { self.reload().await.unwrap_or_else(Ending::Failed) })
    }

    async fn reload(self) -> Result<Ending, String> {
        let Output { json, remote, .. } = self.output;
        let (is_good, answer) = remote.connect()?.post_for_either(&["-", "reload"], "version").await?;
        if json {
            out::json(&answer);
        } else {
            for finding in answer["findings"].as_array().into_iter().flatten() {
                out::note(found(finding));
            }
            if is_good { out::line(told(&answer)) } else { out::note(format_args!("wiza-relay: {}", text(&answer["detail"]))) }
        }
        Ok(if is_good { Ending::Good } else { Ending::No })
    }
}

/// `reloaded: version df5a8ca114db, in effect since 2026-01-31T08:00:00.000Z`. Where the watch on the file was quicker, it is in effect already.
fn told(answer: &Value) -> String {
    let (version, since) = (text(&answer["version"]), text(&answer["since"]));
    match answer["status"].as_str() {
        Some("unchanged") => format!("in effect already: version {version}, since {since}"),
        _ => format!("reloaded: version {version}, in effect since {since}"),
    }
}

/// A finding on a line: whoever wants to see its place with a mark asks `check`.
fn found(finding: &Value) -> String {
    let place = format!("{}:{}:{}", text(&finding["file"]), finding["line"], finding["column"]);
    let hint = finding["hint"].as_str().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{place}: {}: {}{hint}", text(&finding["severity"]), text(&finding["message"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
