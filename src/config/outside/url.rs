//! Values of `${...}` in a URL: where each stands, and what it may hold there.
//!
//! The file says where a request goes, so a value must not move it: one with a `/`, `?`, `#`, `@` or `\` would, put in as it
//! is. Which place a value has is read off what is written around it, never off the value:
//!
//! | place | what becomes of the value |
//! |---|---|
//! | the beginning of the URL: `${CRM_URL}/contacts` | it is a whole URL and names the host; the host ends with it |
//! | scheme | `http` or `https` |
//! | user and password | percent-encoded, but for `:` |
//! | host | letters, digits, `.`, `-`; where it is all of the host, also `[...]`, and a port if none is written |
//! | port | digits |
//! | path | as it is, slashes too; a `?`, `#`, `\`, `.` or `..` is refused |
//! | a parameter of the query: `?key=${KEY}` | percent-encoded: a reader of forms takes a `+` for a blank |
//! | elsewhere in the query: `?${QUERY}` | as it is; a `#` is refused |
//! | behind a `#` | refused: it would not be sent |
//!
//! A value at the beginning may hold a query, and then no path may be written behind it; if it holds a `#`, nothing may.
//!
//! Percent-encoding leaves `%2F` and the like alone: values that somebody has encoded already go on working.

mod path;
mod units;

#[cfg(test)]
mod tests;

use std::ops::Range;

use super::interpolate::is_stand_in;
use crate::config::findings::finding::quoted;
use crate::text::{Part, Secret, Text};
use path::{ANY_VALUE, Path};
use units::{Unit, units};

/// Why the values of a URL cannot stand where they do. Never holds a value.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) struct Problem {
    /// The place of the `${...}` in the scalar's parsed string.
    pub offset: usize,
    pub message: String,
    pub hint: String,
}

/// The text with each value in the form that its place asks for.
pub(in crate::config) fn placed(text: &Text) -> Result<Text, Problem> {
    let mut placing = Placing::new(text);
    if placing.units.iter().any(|unit| matches!(unit, Unit::Value(_))) {
        placing.place()?;
    }
    Ok(placing.text)
}

struct Placing {
    text: Text,
    /// Without blanks around the URL.
    units: Vec<Unit>,
}

/// What comes behind the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Path,
    Query,
    Parameter,
    Fragment,
}

impl Placing {
    fn new(text: &Text) -> Self {
        let mut units = units(text);
        let is_blank = |unit: &Unit| matches!(unit, Unit::Written(character) if *character <= ' ');
        let end = units.iter().rposition(|unit| !is_blank(unit)).map_or(0, |last| last + 1);
        units.truncate(end);
        let start = units.iter().position(|unit| !is_blank(unit)).unwrap_or(0);
        units.drain(..start);
        Self { text: text.clone(), units }
    }

    fn place(&mut self) -> Result<(), Problem> {
        let scheme_end = self.units.windows(3).position(|three| three == [':', '/', '/'].map(Unit::Written));
        let earlier =
            |end: &usize| self.units.iter().take(*end).all(|unit| !matches!(unit, Unit::Written('/' | '?' | '#' | '\\') | Unit::Tag));
        let (rest_start, state) = match (scheme_end.filter(earlier), self.units.first()) {
            (Some(end), _) => {
                self.scheme(0..end)?;
                (self.authority(end + 3)?, Rest::Path)
            }
            (None, Some(Unit::Value(index))) => self.whole_url(*index)?,
            (None, _) => {
                let hint = "write the scheme out: `https://...`; or put the whole URL into the variable";
                let first = self.values_in(0..self.units.len()).first().copied().unwrap_or_default();
                return Err(self.problem(first, "stands in a URL that does not begin with http:// or https://", hint));
            }
        };
        self.rest(rest_start, state)
    }

    fn scheme(&mut self, range: Range<usize>) -> Result<(), Problem> {
        if let Some(index) = self.values_in(range.clone()).first().copied()
            && range.len() == 1
            && is_stand_in(self.value(index))
        {
            self.replace(index, "https".to_owned());
        }
        let scheme = self.exposed(range.clone());
        match self.values_in(range).first().copied() {
            Some(index) if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) => {
                Err(self.problem(index, "is no scheme", "it stands before `://`, so it must be `http` or `https`"))
            }
            _ => Ok(()),
        }
    }

    /// User, host and port; returns where what comes behind them begins.
    fn authority(&mut self, start: usize) -> Result<usize, Problem> {
        let is_end = |unit: &Unit| matches!(unit, Unit::Written('/' | '?' | '#' | '\\') | Unit::Tag);
        let end = self.find(start..self.units.len(), is_end).unwrap_or(self.units.len());
        let user_end = self.rfind(start..end, '@');
        for index in self.values_in(start..user_end.unwrap_or(start)) {
            self.user(index)?;
        }
        let host_start = user_end.map_or(start, |at| at + 1);
        let bracket = self.rfind(host_start..end, ']').unwrap_or(host_start);
        let colon = self.rfind(bracket..end, ':');
        self.host(host_start..colon.unwrap_or(end), colon.is_some())?;
        if let Some(colon) = colon {
            self.port(colon + 1..end)?;
        }
        Ok(end)
    }

    fn user(&mut self, index: usize) -> Result<(), Problem> {
        let value = self.value(index);
        if value.contains(|character: char| character.is_ascii_control()) {
            return Err(self.control_character(index));
        }
        self.replace(index, encoded(value, PLAIN_IN_USER));
        Ok(())
    }

    fn host(&self, range: Range<usize>, has_port: bool) -> Result<(), Problem> {
        let alone = range.len() == 1;
        for index in self.values_in(range.clone()) {
            let value = self.value(index);
            let without_port = match value.rsplit_once(':') {
                Some((host, port)) if alone && !has_port && is_port(port) => host,
                _ => value,
            };
            let address = without_port.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).filter(|_| alone);
            let fits = match address {
                Some(address) => address.chars().all(|it| it.is_ascii_hexdigit() || it == ':' || it == '.'),
                None => without_port.chars().all(|it| it.is_alphanumeric() || matches!(it, '.' | '-' | '_')),
            };
            if !fits {
                let hint = "it is part of a host: letters, digits, `.` and `-`; a URL that a variable holds whole is written `${NAME}` alone, \
                            and a path behind a `/`";
                return Err(self.problem(index, "holds a character that would end the host or change it", hint));
            }
        }
        match self.values_in(range.clone()).first().copied() {
            Some(index) if self.exposed(range).is_empty() => {
                Err(self.problem(index, "is empty, and it is all of the host", "set it: what comes behind it would be taken for the host"))
            }
            _ => Ok(()),
        }
    }

    fn port(&mut self, range: Range<usize>) -> Result<(), Problem> {
        for index in self.values_in(range) {
            if is_stand_in(self.value(index)) {
                self.replace(index, "443".to_owned());
            } else if !is_port(self.value(index)) {
                return Err(self.problem(index, "is no port", "it stands behind the host's `:`, so it must be a number up to 65535"));
            }
        }
        Ok(())
    }

    /// A URL that begins with a value: scheme and host are the value's own.
    fn whole_url(&self, index: usize) -> Result<(usize, Rest), Problem> {
        let value = self.without_blanks_at_the_end(index).trim_start_matches(|character| character <= ' ');
        let Some((_, behind_scheme)) = value.split_once("://") else {
            let hint = "a variable at the beginning of a URL holds scheme and host: `https://host`";
            return Err(self.problem(index, "is no URL: it does not begin with http:// or https://", hint));
        };
        if value.contains(|character: char| character.is_ascii_control()) {
            return Err(self.control_character(index));
        }
        if behind_scheme.contains(['/', '?', '#', '\\']) {
            let state = match behind_scheme {
                value if value.contains('#') => Rest::Fragment,
                value if value.contains('?') => Rest::Query,
                _ => Rest::Path,
            };
            self.is_not_swallowed(index, state)?;
            return Ok((1, state));
        }
        let is_end = |unit: &Unit| matches!(unit, Unit::Written('/' | '?' | '#'));
        let port_end = self.find(1..self.units.len(), is_end).unwrap_or(self.units.len());
        let is_continued = match self.units.get(1) {
            None | Some(Unit::Written('/' | '?' | '#') | Unit::Tag) => return Ok((1, Rest::Path)),
            Some(Unit::Value(next)) => !self.value(*next).starts_with('/'),
            Some(Unit::Written(':')) => !is_port(&self.exposed(2..port_end)),
            Some(Unit::Written(_)) => true,
        };
        if is_continued {
            let shown = self.secret(index).map(Secret::to_string).unwrap_or_default();
            let hint = format!("begin what follows with a `/`: `{shown}/...`");
            return Err(self.problem(index, "holds a host that would go on behind it", &hint));
        }
        let is_port = self.units.get(1) == Some(&Unit::Written(':'));
        Ok((if is_port { port_end } else { 1 }, Rest::Path))
    }

    /// Looks that what is written behind a whole URL still stands where it seems to: the value's own query or fragment would
    /// take a path in.
    fn is_not_swallowed(&self, index: usize, state: Rest) -> Result<(), Problem> {
        let behind = self.units.get(1..).unwrap_or_default();
        match state {
            Rest::Fragment if !behind.is_empty() => {
                let hint = "take the `#` and what follows it out of the value";
                Err(self.problem(index, "holds a `#`, and what is written behind one is not sent", hint))
            }
            // Behind a written `&` there is a parameter, which may hold a `/`.
            Rest::Query if behind.iter().take_while(|unit| !matches!(unit, Unit::Written('&' | '#'))).any(is_path_or_query) => {
                let hint = "take the query out of the value, and write it in the file behind the path; a parameter more begins with `&`";
                Err(self.problem(
                    index,
                    "holds a `?`, and the path or query that is written behind it would become part of its query",
                    hint,
                ))
            }
            _ => Ok(()),
        }
    }

    /// Path, query and fragment.
    fn rest(&mut self, start: usize, mut state: Rest) -> Result<(), Problem> {
        let mut path = Path::default();
        for unit in self.units.get(start..).unwrap_or_default().to_vec() {
            match unit {
                Unit::Written(character) => {
                    state = match (state, character) {
                        (Rest::Fragment, _) | (_, '#') => Rest::Fragment,
                        (Rest::Path, '?') | (Rest::Query | Rest::Parameter, '&') => Rest::Query,
                        (Rest::Query, '=') => Rest::Parameter,
                        (state, _) => state,
                    };
                    if state == Rest::Path {
                        path.write(character.encode_utf8(&mut [0; 4]));
                    }
                }
                // It may print anything, and what it prints is looked at when it is rendered.
                Unit::Tag if state == Rest::Path => path.write(ANY_VALUE),
                Unit::Tag => {}
                Unit::Value(index) => self.value_of_rest(index, state, &mut path)?,
            }
        }
        match path.climbs_by() {
            Some(index) => {
                let hint = "a segment `.` or `..` of the path would lead to another path";
                Err(self.problem(index, "climbs out of its place in the path", hint))
            }
            None => Ok(()),
        }
    }

    fn value_of_rest(&mut self, index: usize, state: Rest, path: &mut Path) -> Result<(), Problem> {
        let value = self.without_blanks_at_the_end(index);
        if value.contains(|character: char| character.is_ascii_control()) {
            return Err(self.control_character(index));
        }
        match state {
            Rest::Path if value.contains(['?', '#', '\\']) => {
                let hint = "percent-encode it in the value (`%3F`, `%23`, `%5C`); a query is written behind a `?` in the file, and a whole \
                            URL is `${NAME}` alone";
                Err(self.problem(index, "holds a `?`, `#` or `\\`, which would end the path or change it", hint))
            }
            Rest::Path => {
                path.value(value, index);
                Ok(())
            }
            Rest::Query if value.contains('#') => {
                let hint = "percent-encode it in the value: `%23`";
                Err(self.problem(index, "holds a `#`, and what comes behind one is not sent", hint))
            }
            Rest::Parameter => {
                let encoded = encoded(value, PLAIN_IN_PARAMETER);
                self.replace(index, encoded);
                Ok(())
            }
            Rest::Query => Ok(()),
            Rest::Fragment => {
                let hint = "take the `#` out of the URL; if it belongs to the path or to a parameter, write `%23`";
                Err(self.problem(index, "stands behind a `#`, and what comes behind one is not sent", hint))
            }
        }
    }

    /// The value that is the part with this index.
    fn value(&self, index: usize) -> &str {
        self.secret(index).map_or("", Secret::expose)
    }

    /// The value without blanks at the end, if the URL ends with it: there they are dropped.
    fn without_blanks_at_the_end(&self, index: usize) -> &str {
        let value = self.value(index);
        let is_last = self.units.last() == Some(&Unit::Value(index));
        if is_last { value.trim_end_matches(|character| character <= ' ') } else { value }
    }

    fn secret(&self, index: usize) -> Option<&Secret> {
        match self.text.parts.get(index) {
            Some(Part::Value(secret)) => Some(secret),
            Some(Part::Written { .. }) | None => None,
        }
    }

    fn replace(&mut self, index: usize, with: String) {
        if let Some(Part::Value(secret)) = self.text.parts.get_mut(index)
            && secret.expose() != with
        {
            *secret = Secret::new(secret.name.clone(), with);
        }
    }

    /// The parts that are values among these units.
    fn values_in(&self, range: Range<usize>) -> Vec<usize> {
        let units = self.units.get(range).unwrap_or_default();
        units.iter().filter_map(|unit| if let Unit::Value(index) = unit { Some(*index) } else { None }).collect()
    }

    /// These units with their values.
    fn exposed(&self, range: Range<usize>) -> String {
        let mut text = String::new();
        for unit in self.units.get(range).unwrap_or_default() {
            match unit {
                Unit::Written(character) => text.push(*character),
                Unit::Value(index) => text.push_str(self.value(*index)),
                Unit::Tag => {}
            }
        }
        text
    }

    fn find(&self, range: Range<usize>, wanted: impl Fn(&Unit) -> bool) -> Option<usize> {
        self.units.get(range.clone())?.iter().position(wanted).map(|at| range.start + at)
    }

    fn rfind(&self, range: Range<usize>, wanted: char) -> Option<usize> {
        self.units.get(range.clone())?.iter().rposition(|unit| *unit == Unit::Written(wanted)).map(|at| range.start + at)
    }

    fn problem(&self, index: usize, what: &str, hint: &str) -> Problem {
        let shown = self.secret(index).map(|secret| quoted(&secret.to_string())).unwrap_or_default();
        Problem { offset: self.text.offset_of_part(index), message: format!("{shown} {what}"), hint: hint.to_owned() }
    }

    fn control_character(&self, index: usize) -> Problem {
        self.problem(index, "holds a control character, a line break for instance", "no URL can hold one: take it out of the value")
    }
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// What a path or a query that is written begins with.
fn is_path_or_query(unit: &Unit) -> bool {
    matches!(unit, Unit::Written('/' | '?'))
}

/// What is not percent-encoded in a user, beside letters and digits: one `:` divides it from the password.
const PLAIN_IN_USER: &[u8] = b"-._~:";
/// The same in the value of a parameter: what is unreserved (RFC 3986, section 2.3).
const PLAIN_IN_PARAMETER: &[u8] = b"-._~";

/// A value with everything percent-encoded that could be taken for something else, but for what is encoded already.
fn encoded(value: &str, plain: &[u8]) -> String {
    let bytes = value.as_bytes();
    let mut encoded = String::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        let is_hex = |place: usize| bytes.get(place).is_some_and(u8::is_ascii_hexdigit);
        let is_kept = byte.is_ascii_alphanumeric() || plain.contains(byte) || (*byte == b'%' && is_hex(at + 1) && is_hex(at + 2));
        if is_kept { encoded.push(char::from(*byte)) } else { encoded.push_str(&format!("%{byte:02X}")) }
    }
    encoded
}
