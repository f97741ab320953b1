//! Values in forms and tables: `application/x-www-form-urlencoded` and CSV.

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, State, Value};
use url::form_urlencoded;

use crate::transform::semantics::printing::text_of;

use super::{arguments, flag};

/// What spreadsheets take for the beginning of a formula, in the width of Chinese and Japanese texts too.
const FORMULA_STARTS: [char; 8] = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// `form`: a value of a form, or a map as `name=value&...`. As safe as `urlencode`, so it is not encoded again in a URL.
pub(super) fn form(state: &State, value: &Value) -> Result<Value, Error> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    if value.kind() != ValueKind::Map {
        let encoded: String = form_urlencoded::byte_serialize(text_of(state, value)?.as_bytes()).collect();
        return Ok(Value::from_safe_string(encoded));
    }
    for key in value.try_iter()? {
        let item = value.get_item(&key)?;
        form.append_pair(&text_of(state, &key)?, &text_of(state, &item)?);
    }
    Ok(Value::from_safe_string(form.finish()))
}

/// `csv`: a cell, or a list as the cells of a row. A text stands in quotes (RFC 4180); one that a spreadsheet would calculate gets
/// an apostrophe before it, unless `formulas=true` says that no spreadsheet reads it. Numbers and booleans stand as they are.
pub(super) fn csv(state: &State, value: &Value, given: Rest<Value>, named: Kwargs) -> Result<String, Error> {
    let [formulas] = arguments(given, &named, ["formulas"])?;
    let formulas = flag(formulas, false)?;
    let mut row = String::new();
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            for (place, item) in value.try_iter()?.enumerate() {
                // Multiplied, a list can be longer than memory.
                state.consume_fuel(1)?;
                if place > 0 {
                    row.push(',');
                }
                push_cell(&mut row, state, &item, formulas)?;
            }
        }
        _ => push_cell(&mut row, state, value, formulas)?,
    }
    Ok(row)
}

fn push_cell(row: &mut String, state: &State, value: &Value, formulas: bool) -> Result<(), Error> {
    let text = text_of(state, value)?;
    if matches!(value.kind(), ValueKind::Number | ValueKind::Bool) {
        row.push_str(&text);
        return Ok(());
    }
    row.push('"');
    if !formulas && is_calculated(&text) {
        row.push('\'');
    }
    row.push_str(&text.replace('"', "\"\""));
    row.push('"');
    Ok(())
}

/// Whether a spreadsheet could take a cell for a formula. Some pass over blanks before it.
fn is_calculated(text: &str) -> bool {
    text.starts_with(['\t', '\r', '\n']) || text.trim_start().starts_with(FORMULA_STARTS)
}
