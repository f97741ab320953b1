//! An explanation for people.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::cli::load::counted;
use crate::condition::Finding;
use crate::config::Config;
use crate::event::{Event, EventSource};
use crate::explain::{self, Decided, Delivery, Explanation, Kept, Verdict};
use crate::transform::are_lines;
use crate::visible;

/// The longest value that is shown of a path, in characters.
const VALUE_CHARACTERS_MAX: usize = 100;

/// The longest term that is followed by what was found on the same line, in characters.
const TERM_CHARACTERS_MAX: usize = 50;

struct Paint {
    colour: bool,
}

impl Paint {
    fn style(&self, style: Style) -> Style {
        if self.colour { style } else { Style::new() }
    }

    fn words(&self, style: Style, words: &str) -> String {
        let style = self.style(style);
        format!("{style}{}{style:#}", visible::one_line(words))
    }
}

const GOOD: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const BAD: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
const QUIET: Style = Style::new().dimmed();
const STRONG: Style = Style::new().bold();

/// The routes with their reasons, then the requests.
pub(super) fn render(config: &Config, event: &Event, explanation: &Explanation<'_>, colour: bool) -> String {
    let paint = Paint { colour };
    let mut out = String::new();
    let is_of_one_file =
        explanation.routes.iter().all(|verdict| Some(&verdict.place.file) == explanation.routes.first().map(|first| &first.place.file));
    for verdict in &explanation.routes {
        route(&mut out, &paint, verdict, is_of_one_file);
    }
    // Writing to a String cannot fail.
    if let Some(destination) = left_out(config, event, explanation) {
        let _ = writeln!(out, "\nIt is about `{destination}`, so nothing of it is sent there.");
    }
    let _ = match (explanation.unmatched, explanation.deliveries.len()) {
        (true, 0) => writeln!(out, "\nNo route takes this event: it is kept, counted and shown, and nothing is sent."),
        (true, count) => writeln!(out, "\nNo route takes this event; `unmatched` sends {}.", counted(count, "request")),
        (false, 0) if event.source() == EventSource::Relay => {
            writeln!(out, "\nNo route sends this event of the relay's own: it is not stored, and nothing is sent.")
        }
        (false, 0) => writeln!(out, "\nNothing is sent."),
        (false, count) => writeln!(out, "\n{}:", counted(count, "request")),
    };
    for kept in &explanation.withheld {
        withheld(&mut out, &paint, kept);
    }
    for delivery in &explanation.deliveries {
        request(&mut out, &paint, config, event, delivery);
    }
    out
}

/// The destination that an own event is about, where a route would send it there.
fn left_out<'c>(config: &'c Config, event: &Event, explanation: &Explanation<'_>) -> Option<&'c str> {
    let about = crate::route::about(config, event.source(), event.payload())?;
    let matched = explanation.routes.iter().zip(&config.routes).filter(|(verdict, _)| verdict.decision == Decided::Matched);
    let is_named = matched.into_iter().any(|(_, route)| route.to.iter().any(|target| target.destination == about));
    config.destinations.get(about).filter(|_| is_named).map(|destination| destination.name.as_str())
}

fn route(out: &mut String, paint: &Paint, verdict: &Verdict<'_>, is_of_one_file: bool) {
    let (mark, words) = match verdict.decision {
        Decided::Matched if verdict.shadow => (paint.words(GOOD, "match"), " (shadow: counted, never sent)".to_owned()),
        Decided::Matched if verdict.why.is_empty() => (paint.words(GOOD, "match"), " (always: it has no `when`)".to_owned()),
        Decided::Matched => (paint.words(GOOD, "match"), String::new()),
        Decided::NotMatched => (paint.words(BAD, "no   "), String::new()),
        Decided::Undecided => (paint.words(BAD, "no   "), " (its condition takes too many steps on this event)".to_owned()),
        Decided::NotOffered(EventSource::Relay) => (paint.words(QUIET, "skip "), " (it is for the relay's own events)".to_owned()),
        Decided::NotOffered(EventSource::Wiza) => (paint.words(QUIET, "skip "), " (it is for Wiza's webhooks)".to_owned()),
        Decided::Skipped(by) => {
            (paint.words(QUIET, "skip "), format!(" (`{}` matched before it and stops the walk)", visible::one_line(by)))
        }
    };
    let place = match is_of_one_file {
        true => String::new(),
        false => paint.words(QUIET, &format!("  {}:{}", verdict.place.file, verdict.place.line)),
    };
    let _ = writeln!(out, "{mark}  {}{words}{place}", paint.words(STRONG, verdict.route));
    let skipped = matches!(verdict.decision, Decided::Skipped(_) | Decided::NotOffered(_));
    terms(out, paint, if skipped { &[] } else { &verdict.why });
}

/// A destination that a route names and that gets nothing.
fn withheld(out: &mut String, paint: &Paint, kept: &Kept<'_>) {
    let by = paint.words(QUIET, &format!("by `{}`", kept.route));
    let _ = writeln!(
        out,
        "\n{}  {by}\n  {} it {}.",
        paint.words(STRONG, kept.destination),
        paint.words(BAD, "nothing is planned:"),
        kept.withheld.words()
    );
    terms(out, paint, &kept.why);
}

/// The terms of a condition, each with whether it helps and what was found.
fn terms(out: &mut String, paint: &Paint, why: &[Finding]) {
    let terms: Vec<(String, &Finding)> = why.iter().map(|finding| (wanted(finding), finding)).collect();
    let lengths = terms.iter().map(|(term, _)| term.chars().count());
    let width = lengths.filter(|length| *length <= TERM_CHARACTERS_MAX).max().unwrap_or(0);
    for (term, finding) in terms {
        let helps = finding.holds != finding.negated;
        let mark = if helps { paint.words(GOOD, "yes") } else { paint.words(BAD, "no ") };
        let found = paint.words(QUIET, &found(finding));
        if term.chars().count() > width {
            let _ = writeln!(out, "         {mark}  {term}\n                {found}");
        } else {
            let _ = writeln!(out, "         {mark}  {term:<width$}  {found}");
        }
    }
}

/// What the condition wants of a term, on one line: the term, or that it does not hold.
fn wanted(finding: &Finding) -> String {
    let term = finding.condition.split_whitespace().collect::<Vec<_>>().join(" ");
    let term = visible::one_line(&term).into_owned();
    let is_bare = finding.path.as_ref() == Some(&finding.condition) || ["match(", "search("].iter().any(|name| term.starts_with(name));
    match (finding.negated, is_bare) {
        (false, _) => term,
        (true, true) => format!("not {term}"),
        (true, false) => format!("not ({term})"),
    }
}

/// What the paths of a term found: `data.email_status is "risky"`.
fn found(finding: &Finding) -> String {
    let first = finding.path.as_ref().map(|path| (path, finding.value.as_ref().map(ToString::to_string)));
    let others = finding.others.iter().map(|other| (&other.path, other.value.as_ref().map(ToString::to_string)));
    let told: Vec<String> = first
        .into_iter()
        .chain(others)
        .map(|(path, value)| {
            // A path that stands alone is the condition itself, which has just been shown.
            let path = if *path == finding.condition { "it" } else { path };
            match value {
                Some(value) => format!("{path} is {}", shortened(&value)),
                None => format!("{path} is not there"),
            }
        })
        .collect();
    told.join(", ")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn request(out: &mut String, paint: &Paint, config: &Config, event: &Event, delivery: &Delivery<'_>) {
    let Delivery { destination, route, method, request, .. } = delivery;
    let _ = writeln!(out, "\n{}  {}", paint.words(STRONG, destination), paint.words(QUIET, &format!("by `{route}`")));
    let request = match request {
        Ok(request) => request,
        Err(error) => {
            for failure in error.each() {
                let _ =
                    writeln!(out, "  {} {}", paint.words(BAD, "cannot be rendered:"), visible::one_line(&config.secrets.mask(&failure)));
            }
            let _ = writeln!(out, "  It would go to the dead letters with this reason.");
            return;
        }
    };
    let _ = writeln!(out, "  {method} {}", config.secrets.mask(delivery.shown_url(request)));
    for (name, value) in explain::shown_headers(config, request) {
        let _ = writeln!(out, "  {}", paint.words(QUIET, &format!("{name}: {value}")));
    }
    if request.body == event.body && !request.body.is_empty() {
        let _ = writeln!(out, "\n  {}", paint.words(QUIET, &format!("the payload as it was received, {} bytes", request.body.len())));
        return;
    }
    let body = config.secrets.mask(&String::from_utf8_lossy(&request.body));
    let body = match crate::json::parse(body.as_bytes()) {
        Ok(value) if !are_lines(&request.headers) => visible::json(&serde_json::to_string_pretty(&value).unwrap_or(body)).into_owned(),
        Ok(_) | Err(_) => body,
    };
    if !body.is_empty() {
        let _ = writeln!(out);
        for line in body.lines() {
            let _ = writeln!(out, "  {}", visible::lines(line));
        }
    }
    if !delivery.left_out.is_empty() {
        let _ = writeln!(out);
        for left_out in &delivery.left_out {
            let line = config.secrets.mask(&left_out.to_string());
            let _ = writeln!(out, "  {}", paint.words(QUIET, &visible::one_line(&line)));
        }
    }
}
