//! Names in questions: an answer of 'nothing found' is true only of a name that there is.

use super::Api;
use crate::admin::problem::Problem;
use crate::config;
use crate::event::rfc3339_milliseconds;
use crate::store::Paging;
use crate::wire::listing::Filter;

/// Names that an answer lists at most.
const LISTED_MAX: usize = 20;

/// Refuses the names of a destination, a route or an account that are neither in the rules nor in the store, and times between which nothing lies.
pub(super) async fn check(api: &Api, filter: &Filter) -> Result<(), Problem> {
    if let Some(wanted) = &filter.destination {
        let known = destinations(api);
        among("destination", wanted, &known).map_err(Problem::bad_request)?;
    }
    if let Some(wanted) = &filter.route {
        // The configured ones are in the store, since the rules took effect; those that left the file stay in it.
        let known = api.store.route_names().await?;
        among("route", wanted, &known).map_err(Problem::bad_request)?;
    }
    if let Some(wanted) = &filter.account {
        let rules = api.rules.load_full();
        let known: Vec<String> = rules.config.source.api_keys.accounts().into_iter().map(str::to_owned).collect();
        if !known.contains(wanted) && !has_events(api, wanted).await? {
            return Err(Problem::bad_request(unknown("account", wanted, &known)));
        }
    }
    match (filter.since, filter.until) {
        (Some(since), Some(until)) if since >= until => {
            let (since, until) = (rfc3339_milliseconds(since), rfc3339_milliseconds(until));
            Err(Problem::bad_request(format!("since: {since} is not before `until`, {until}: nothing lies between them")))
        }
        _ => Ok(()),
    }
}

/// Whether the store has an event of this account: it may have left the file. Where that is not found out in the time of one page, it may
/// have one.
async fn has_events(api: &Api, account: &str) -> Result<bool, Problem> {
    let filter = Filter { account: Some(account.to_owned()), ..Filter::default() };
    let page = api.store.events(None, filter, Paging { from: None, limit: 1 }).await?;
    Ok(!page.items.is_empty() || page.next.is_some())
}

/// Every destination that the store knows, the configured ones among them.
pub(super) fn destinations(api: &Api) -> Vec<String> {
    api.store.names().iter().map(ToString::to_string).collect()
}

/// Whether a name is known.
fn among(what: &str, wanted: &str, known: &[String]) -> Result<(), String> {
    if known.iter().any(|name| name == wanted) { Ok(()) } else { Err(unknown(what, wanted, known)) }
}

/// That there is no such name, what was probably meant, and which there are.
pub(super) fn unknown(what: &str, wanted: &str, known: &[String]) -> String {
    let near = config::near(wanted, known.iter().map(String::as_str));
    let meant = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    format!("there is no {what} `{wanted}`; {meant}there are {}", listed(known))
}

/// `` `a`, `b` and 3 more ``
fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(LISTED_MAX) {
        _ if names.is_empty() => "none".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("route-{number}")).collect()
    }

    #[test]
    fn what_is_not_known_is_told_with_what_was_meant_and_a_list_that_ends() {
        assert_eq!(among("route", "route-1", &names(2)), Ok(()));
        assert_eq!(
            among("route", "ruote-1", &names(2)).unwrap_err(),
            "there is no route `ruote-1`; did you mean `route-1`? there are `route-0`, `route-1`"
        );
        assert_eq!(among("route", "x", &[]).unwrap_err(), "there is no route `x`; there are none");
        assert!(among("route", "crm", &names(10_000)).unwrap_err().ends_with("`route-19` and 9980 more"));
    }
}
