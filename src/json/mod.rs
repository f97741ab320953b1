//! Reading JSON that strangers wrote: webhooks' payloads, and what destinations reply.
//!
//! It is a parser of its own, because an authentic event must reach its destinations, and `serde_json` refuses half a
//! surrogate pair (`"\ud83d"`, which RFC 8259 permits in section 7 and speaks of in section 8.2). `serde_json` then holds
//! and writes what was read. Its feature `arbitrary_precision` lets a number keep the digits that no 64-bit integer has; its
//! own parser would then take an object with the key `$serde_json::private::Number` for a number, so it never sees a
//! stranger's text.
//!
//! What is read is the same for the same values, whoever wrote them:
//! - half a surrogate pair is U+FFFD, the character for what cannot be represented, in keys too; a byte-order mark at the
//!   front is passed over (RFC 8259, section 8.1);
//! - an integer has its digits as written, however many there are; any other number has the shortest digits that give the
//!   same 64-bit float back, so that it keeps its last digit;
//! - of a repeated key the last value counts.

mod exact;
mod fault;
mod need;
mod number;
mod parser;
mod text;

pub use self::exact::{Exact, NumberKey};
pub use self::fault::{Fault, Problem};
pub use self::need::need;
pub use self::number::{NEGATIVE_ZERO, is_integer, number};
use self::parser::Parser;

use serde_json::Value;

/// How many levels of lists and objects may nest: RFC 8259 (section 9) leaves that to whoever reads, and all that walks
/// a value recurses.
pub const DEPTH_MAX: usize = 127;

/// UTF-8's byte-order mark. RFC 8259, section 8.1: nobody must send one, and whoever reads may pass over it.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A JSON text without a byte-order mark at its front, so that it can stand inside of another.
pub fn without_byte_order_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK.as_bytes()).unwrap_or(text)
}

/// Reads a JSON text.
///
/// # Errors
/// What is wrong with it, and where; nothing of its content.
pub fn parse(bytes: &[u8]) -> Result<Value, Fault> {
    // Looking once whether all of it is UTF-8 is much cheaper than looking at each of its strings.
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            return Err(Fault::new(Problem::NotUtf8, &String::from_utf8_lossy(before)));
        }
    };
    Parser::new(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)).document()
}

#[cfg(test)]
mod tests;
