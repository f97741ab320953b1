//! `success`: whether a 2xx counts, by what its reply says. Pure.

use serde_json::Value;

use crate::condition::{Condition, Scope};
use crate::json;

/// Bytes of a reply that `success` is asked of. Every attempt in flight may hold as much.
pub const REPLY_BYTES_MAX: usize = 256 * 1024;

/// How reading a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyEnd {
    /// All of it was read.
    Whole,
    /// It is longer than what is read.
    TooLong,
    /// The connection ended before it.
    Cut,
    /// The attempt's time was over before it.
    TooSlow,
    /// It is compressed in a way that the relay does not read.
    Unreadable,
    /// It is gzip that is cut off or damaged.
    Damaged,
}

/// Why a 2xx with this reply does not count; `None` where it does. Quotes nothing of the reply.
pub fn shortcoming(success: &Condition, reply: &[u8], end: ReplyEnd) -> Option<String> {
    let reason = match end {
        ReplyEnd::TooLong => format!("the reply is longer than the {} KiB that `success` is asked of", REPLY_BYTES_MAX / 1024),
        ReplyEnd::Cut => "the reply that `success` is asked of was cut off".to_owned(),
        ReplyEnd::TooSlow => "the reply that `success` is asked of did not end in time".to_owned(),
        ReplyEnd::Unreadable => "the reply that `success` is asked of is compressed, and not as gzip".to_owned(),
        ReplyEnd::Damaged => "the reply that `success` is asked of is gzip that is cut off or damaged".to_owned(),
        ReplyEnd::Whole => match json::parse(reply) {
            Err(_) if reply.is_empty() => "there is no reply that `success` could be asked of".to_owned(),
            Err(_) => "the reply that `success` is asked of is not JSON".to_owned(),
            // A reply has no facts beside it; a condition that asks for them is refused when the file is read.
            Ok(reply) => match success.holds(&Scope { payload: &reply, event: &|| &Value::Null }) {
                Ok(true) => return None,
                Ok(false) => "`success` does not hold on the reply".to_owned(),
                Err(error) => format!("`success` is {error}"),
            },
        },
    };
    Some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_counts_only_where_the_condition_holds_on_all_of_it() {
        let success = Condition::parse("$.ok == true and not errors[0]").unwrap();
        for (reply, end, shortcoming_has) in [
            (&br#"{"ok":true}"#[..], ReplyEnd::Whole, None),
            (br#" {"ok":true,"errors":[]} "#, ReplyEnd::Whole, None),
            (br#"{"ok":true,"errors":["x"]}"#, ReplyEnd::Whole, Some("does not hold")),
            (br#"{"ok":"true"}"#, ReplyEnd::Whole, Some("does not hold")),
            (b"\xef\xbb\xbf{\"ok\":true}", ReplyEnd::Whole, None),
            (b"{\"ok\":true}", ReplyEnd::Unreadable, Some("not as gzip")),
            (b"{\"ok\":true}", ReplyEnd::Damaged, Some("cut off or damaged")),
            (b"[1]", ReplyEnd::Whole, Some("does not hold")),
            (b"ok", ReplyEnd::Whole, Some("not JSON")),
            (b"", ReplyEnd::Whole, Some("no reply")),
            (br#"{"ok":true}"#, ReplyEnd::Cut, Some("cut off")),
            (br#"{"ok":true}"#, ReplyEnd::TooLong, Some("longer than the 256 KiB")),
            (br#"{"ok":true}"#, ReplyEnd::TooSlow, Some("in time")),
        ] {
            let told = shortcoming(&success, reply, end);
            assert_eq!(told.is_some(), shortcoming_has.is_some(), "{told:?}");
            assert!(shortcoming_has.is_none_or(|words| told.clone().unwrap_or_default().contains(words)), "{told:?}");
        }
    }

    #[test]
    fn a_reply_that_nests_too_deeply_is_no_json() {
        let success = Condition::parse("$").unwrap();
        let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        assert!(shortcoming(&success, &deep, ReplyEnd::Whole).unwrap().contains("not JSON"));
        assert_eq!(shortcoming(&success, b"{}", ReplyEnd::Whole), None);
    }
}
