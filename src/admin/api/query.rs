//! Reading the query of a listing: which items, and which page of them.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use super::{Api, known};
use crate::admin::problem::Problem;
use crate::durations;
use crate::store::{PAGE_ITEMS_MAX, Paging};
use crate::wire::listing::Filter;

/// Items on a page where the query does not say.
const PAGE_ITEMS_DEFAULT: usize = 100;
/// The longest text that is searched for, in bytes.
const SEARCH_BYTES_MAX: usize = 1024;

/// A listing's query.
pub(super) struct ListQuery<S> {
    pub status: Option<S>,
    pub filter: Filter,
    pub paging: Paging,
}

/// Reads the query string. `statuses` are those that there are.
pub(super) async fn read<S: Copy>(api: &Api, query: Option<String>, statuses: &[(&str, S)]) -> Result<ListQuery<S>, Problem> {
    let query = query.unwrap_or_default();
    let mut read = ListQuery { status: None, filter: Filter::default(), paging: Paging { from: None, limit: PAGE_ITEMS_DEFAULT } };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "status" => read.status = Some(one_of(&value, statuses)?),
            "from" => read.paging.from = Some(value.into_owned()),
            "limit" => read.paging.limit = limit(&value)?,
            _ => put(&mut read.filter, &name, value)?,
        }
    }
    known::check(api, &read.filter).await?;
    Ok(read)
}

fn put(filter: &mut Filter, name: &str, value: Cow<'_, str>) -> Result<(), Problem> {
    match name {
        "destination" => filter.destination = Some(value.into_owned()),
        "route" => filter.route = Some(value.into_owned()),
        "account" => filter.account = Some(value.into_owned()),
        "since" => filter.since = Some(moment("since", &value)?),
        "until" => filter.until = Some(moment("until", &value)?),
        "search" => filter.search = Some(search(value.into_owned())?),
        _ => {
            let detail =
                format!("`{name}` is no parameter; there are status, destination, route, account, since, until, search, limit and from");
            return Err(Problem::bad_request(detail));
        }
    }
    Ok(())
}

/// A text to be searched for, within its limit.
pub(super) fn search(text: String) -> Result<String, Problem> {
    if text.len() > SEARCH_BYTES_MAX {
        return Err(Problem::bad_request(format!("search: longer than {SEARCH_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// A time by RFC 3339, or how long ago.
pub(super) fn moment(name: &str, text: &str) -> Result<Timestamp, Problem> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let refused = |why: String| Problem::bad_request(format!("{name}: `{text}` {why}"));
    let ago = durations::read(text).map_err(|error| match error.reason.as_str() {
        "is not a duration" => refused("is no time; write 2026-01-31T08:00:00Z, or 90m or 2d for so long ago".to_owned()),
        _ => refused(error.to_string()),
    })?;
    let ago = SignedDuration::try_from(ago).ok().and_then(|ago| Timestamp::now().checked_sub(ago).ok());
    ago.ok_or_else(|| refused("is longer ago than the calendar goes".to_owned()))
}

fn limit(text: &str) -> Result<usize, Problem> {
    match text.parse() {
        Ok(limit) if (1..=PAGE_ITEMS_MAX).contains(&limit) => Ok(limit),
        _ => Err(Problem::bad_request(format!("limit: `{text}` is no number from 1 to {PAGE_ITEMS_MAX}"))),
    }
}

fn one_of<S: Copy>(text: &str, statuses: &[(&str, S)]) -> Result<S, Problem> {
    if let Some((_, status)) = statuses.iter().find(|(name, _)| *name == text) {
        return Ok(*status);
    }
    let names: Vec<String> = statuses.iter().map(|(name, _)| (*name).to_owned()).collect();
    Err(Problem::bad_request(known::unknown("status", text, &names)))
}
