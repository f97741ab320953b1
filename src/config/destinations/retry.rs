//! `retry` of a destination.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::destination::{ATTEMPTS_MAX, DEADLINE_MAX, FACTOR_MAX, MILLISECOND, Retry, WAIT_MAX};
use super::shape::optional;
use crate::config::reading::decode::{Decoder, Layers};
use crate::config::reading::units::{Unreadable, shown_duration};
use crate::config::yaml::Node;

pub(in crate::config) fn decode_retry(decoder: &mut Decoder<'_>, [own, base]: [Option<&Arc<Node>>; 2]) -> Option<Retry> {
    let mut layers = Layers::open(decoder, own.map(AsRef::as_ref), base.map(AsRef::as_ref), "`retry`");
    let attempts = layers.take("attempts");
    let first = layers.take("first");
    let factor = layers.take("factor");
    let max = layers.take("max");
    let deadline = layers.take("deadline");
    let on = layers.take("on").filter(|node| !node.is_null());
    layers.finish(decoder);

    let default = Retry::default();
    let attempts = attempts.map(|node| decoder.integer(node, 1..=ATTEMPTS_MAX));
    let first_wait = first.map(|node| decoder.duration(node, MILLISECOND..=WAIT_MAX));
    let factor = factor.map(|node| decoder.number(node, 1.0..=FACTOR_MAX));
    let longest = max.map(|node| decoder.duration(node, MILLISECOND..=WAIT_MAX));
    let deadline = deadline.map(|node| decoder.duration(node, MILLISECOND..=DEADLINE_MAX));
    let on = on.map(|node| decode_statuses(decoder, node));
    let retry = Retry {
        attempts: optional(attempts)?.unwrap_or(default.attempts),
        first: optional(first_wait)?.unwrap_or(default.first),
        factor: optional(factor)?.unwrap_or(default.factor),
        max: optional(longest)?.unwrap_or(default.max),
        deadline: optional(deadline)?.unwrap_or(default.deadline),
        on: optional(on)?.unwrap_or(default.on),
    };
    if let Some(node) = max.or(first)
        && retry.max < retry.first
    {
        decoder.report.error(node.span.clone(), "the longest wait is shorter than the first").hint(format!(
            "`first` is {}; a `max` that is not given is {}",
            shown_duration(retry.first),
            shown_duration(default.max)
        ));
        return None;
    }
    Some(retry)
}

/// Each may be given once. A 2xx is never among them: it means that the event has arrived.
fn decode_statuses(decoder: &mut Decoder<'_>, node: &Node) -> Option<Vec<u16>> {
    let nodes = decoder.list(node, "statuses")?;
    let mut statuses: Vec<u16> = Vec::new();
    let mut sound = true;
    for node in nodes {
        let status = decoder.read(node, "a status", status);
        match status {
            Some(status) if statuses.contains(&status) => {
                decoder.report.error(node.span.clone(), format!("the status {status} is given twice")).hint("take one of them out");
                sound = false;
            }
            Some(status) => statuses.push(status),
            None => sound = false,
        }
    }
    sound.then_some(statuses)
}

/// What `retry.on` may name.
pub(in crate::config) const RETRIED_STATUSES: RangeInclusive<u32> = 300..=999;

fn status(text: &str) -> Result<u16, Unreadable> {
    let hint = "a status that means 'later' here, such as `404` or `302`";
    let unreadable = |reason: &str, hint: &str| Unreadable { reason: reason.into(), hint: hint.into() };
    let status: u16 = text.parse().map_err(|_| unreadable("is not a status", hint))?;
    match status {
        _ if RETRIED_STATUSES.contains(&status.into()) => Ok(status),
        200..=299 => Err(unreadable(
            "means that the event has arrived",
            "where a 2xx can mean no, `success` tells by its reply: `success: $.ok == true`",
        )),
        _ => Err(unreadable("is not a status that ends a request", "`300` to `999`")),
    }
}
