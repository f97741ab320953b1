//! Filters of Jinja that minijinja leaves to others. Where minijinja-contrib has one that gives what Jinja's own does, it does the
//! work here.

use std::sync::LazyLock;

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, State, Value};
use minijinja_contrib::filters as contrib;
use regex::Regex;

use crate::transform::semantics::printing::text_of;

use super::{arguments, flag, length, says, text};

/// What one unit of fuel pays for of a text, in bytes, as in minijinja itself.
const BYTES_PER_FUEL: usize = 64;

/// As in Jinja.
const TRUNCATE_LENGTH: usize = 255;
const WORDWRAP_WIDTH: usize = 79;
const CENTER_WIDTH: usize = 80;

/// `truncate(length=255, killwords=false, end="...", leeway=0)`: a text of at most `length` characters, `end` included, cut between
/// words where there is a blank. Unlike in Jinja, `leeway` is 0 unless given: a limit of a receiver's is a limit.
pub(super) fn truncate(state: &mut State, value: &Value, given: Rest<Value>, named: Kwargs) -> Result<Value, Error> {
    let [longest, killwords, end, leeway] = arguments(given, &named, ["length", "killwords", "end", "leeway"])?;
    let longest = length(longest, TRUNCATE_LENGTH)?;
    let leeway = length(leeway, 0)?;
    let end = text(end, "...")?;
    if longest < end.chars().count() {
        return Err(says("the text would be shorter than its `end`: take a greater `length`"));
    }
    let whole = Value::from(text_of(state, value)?.into_owned());
    let options = [
        ("length", Value::from(longest)),
        ("killwords", Value::from(flag(killwords, false)?)),
        ("end", Value::from(end)),
        ("leeway", Value::from(leeway.min(usize::MAX - longest))),
    ];
    contrib::truncate(state, &whole, options.into_iter().collect())
}

/// `wordcount`: runs of letters, digits and `_`.
pub(super) fn wordcount(state: &State, value: &Value) -> Result<usize, Error> {
    static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\w+").ok());
    let text = text_of(state, value)?;
    Ok(WORD.as_ref().map_or(0, |word| word.find_iter(&text).count()))
}

/// `wordwrap(width=79, break_long_words=true, wrapstring="\n", break_on_hyphens=true)`
pub(super) fn wordwrap(state: &State, value: &Value, given: Rest<Value>, named: Kwargs) -> Result<Value, Error> {
    let names = ["width", "break_long_words", "wrapstring", "break_on_hyphens"];
    let [width, break_long_words, wrapstring, break_on_hyphens] = arguments(given, &named, names)?;
    let width = length(width, WORDWRAP_WIDTH)?;
    if width == 0 {
        return Err(says("a line has at least one character: take a greater `width`"));
    }
    let wrapstring = text(wrapstring, "\n")?;
    let whole = text_of(state, value)?;
    // There can be as many lines as characters, each with its `wrapstring`.
    pay(state, whole.len().saturating_mul(wrapstring.len().saturating_add(1)))?;
    let options = [
        ("width", Value::from(width)),
        ("break_long_words", Value::from(flag(break_long_words, true)?)),
        ("break_on_hyphens", Value::from(flag(break_on_hyphens, true)?)),
        ("wrapstring", Value::from(wrapstring)),
    ];
    contrib::wordwrap(&Value::from(whole.into_owned()), options.into_iter().collect())
}

/// `center(width=80)`
pub(super) fn center(state: &State, value: &Value, given: Rest<Value>, named: Kwargs) -> Result<String, Error> {
    let [width] = arguments(given, &named, ["width"])?;
    let width = length(width, CENTER_WIDTH)?;
    let text = text_of(state, value)?;
    let room = width.saturating_sub(text.chars().count());
    pay(state, room)?;
    // As Python does where the two sides cannot be equal.
    let left = room / 2 + (room & width & 1);
    Ok(format!("{}{text}{}", " ".repeat(left), " ".repeat(room - left)))
}

/// `filesizeformat(binary=false)`: `13.0 kB`.
pub(super) fn filesizeformat(state: &State, value: &Value, given: Rest<Value>, named: Kwargs) -> Result<String, Error> {
    let [binary] = arguments(given, &named, ["binary"])?;
    // Refuses what is absent or null as printing does.
    text_of(state, value)?;
    let number = Some(value).filter(|value| value.kind() == ValueKind::Number).and_then(|value| f64::try_from(value.clone()).ok());
    let number = number.ok_or_else(|| says("`filesizeformat` is for a number of bytes"))?;
    Ok(contrib::filesizeformat(number, Some(flag(binary, false)?)))
}

/// `striptags`: the text of a piece of HTML on one line: without comments and tags, with references read. A `<` that begins
/// neither stays. What comes out is text, and no HTML to be sent on as such.
pub(super) fn striptags(state: &State, value: &Value) -> Result<String, Error> {
    let html = text_of(state, value)?;
    let mut text = String::with_capacity(html.len());
    let mut rest = html.as_ref();
    // Behind the last `>` there is no tag, so that nothing is searched for twice.
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let end = match after.strip_prefix("!--") {
            Some(comment) => comment.split_once("-->").map(|(_, behind)| behind),
            None if after.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '/' | '!' | '?')) => {
                after.split_once('>').map(|(_, behind)| behind)
            }
            None => {
                text.push('<');
                rest = after;
                continue;
            }
        };
        let Some(behind) = end else {
            text.push('<');
            rest = after;
            break;
        };
        rest = behind;
    }
    text.push_str(rest);
    Ok(references_read(&text).split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The longest reference that is read, in bytes without `&` and `;`: `#x10ffff`.
const REFERENCE_BYTES_MAX: usize = 8;

/// `&lt;` and `&#60;` as what they stand for. Others stay as they are.
fn references_read(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('&') {
        text.push_str(before);
        let end = after.bytes().take(REFERENCE_BYTES_MAX + 1).position(|byte| byte == b';');
        match end.and_then(|end| Some((referred(after.get(..end)?)?, after.get(end + 1..)?))) {
            Some((character, behind)) => {
                text.push(character);
                rest = behind;
            }
            None => {
                text.push('&');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

fn referred(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Consumes the fuel for so many bytes of text before they are made.
fn pay(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(u64::try_from(bytes / BYTES_PER_FUEL).unwrap_or(u64::MAX))
}
