//! Values of headers.

use http::HeaderValue;

use crate::text::{Part, Text};

use crate::transform::errors::{RenderError, TemplateError};

/// The longest value of a header that is sent, in bytes. Most servers refuse longer ones.
pub const HEADER_BYTES_MAX: usize = 8 * 1024;

const CONTROL: &str = "a header's value cannot hold a line break or another control character";

/// Looks at what comes from outside the file: whether a header can hold it.
pub(in crate::transform) fn check_values(text: &Text) -> Result<(), TemplateError> {
    for (index, part) in text.parts.iter().enumerate() {
        if let Part::Value(secret) = part
            && secret.expose().contains(char::is_control)
        {
            let message = format!("`{secret}` holds a control character, a line break for instance");
            return Err(TemplateError::new(text.offset_of_part(index), message).hint("no header can hold one: take it out of the value"));
        }
    }
    Ok(())
}

/// Reads a header's value without tags.
pub(in crate::transform) fn literal(text: &Text, sensitive: bool) -> Result<HeaderValue, TemplateError> {
    let offset = text.plain().and_then(|plain| plain.find(char::is_control)).unwrap_or(0);
    value(&text.expose(), sensitive).map_err(|error| TemplateError::new(offset, error.message))
}

/// Makes a header's value; a `sensitive` one is kept out of logs by HTTP libraries. Characters beyond ASCII are sent
/// as UTF-8 (RFC 9110, 5.5 calls them opaque).
pub(in crate::transform) fn value(text: &str, sensitive: bool) -> Result<HeaderValue, RenderError> {
    if text.contains(char::is_control) {
        return Err(RenderError::new(CONTROL));
    }
    if text.len() > HEADER_BYTES_MAX {
        return Err(RenderError::new(format!("the header's value is longer than {HEADER_BYTES_MAX} bytes")));
    }
    let mut value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| RenderError::new(CONTROL))?;
    value.set_sensitive(sensitive);
    Ok(value)
}
