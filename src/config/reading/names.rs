//! What destinations and accounts can be called.

use super::decode::Decoder;
use crate::config::findings::finding::quoted;
use crate::config::yaml::Key;

const NAME_BYTES_MAX: usize = 63;

/// What [`is_good`] wants.
pub(in crate::config) const RULE: &str = "lower-case letters, digits, `-` and `_`, at most 63, beginning with a letter or digit";

/// `[a-z0-9][a-z0-9_-]{0,62}`: a destination's name, or an account's.
pub(in crate::config) fn is_good(name: &str) -> bool {
    let fits = |c: char| is_lower_alphanumeric(c) || c == '_' || c == '-';
    name.len() <= NAME_BYTES_MAX && name.starts_with(is_lower_alphanumeric) && name.chars().all(fits)
}

/// A name like this one that [`is_good`] takes; empty where there is none.
pub(in crate::config) fn mended(name: &str) -> String {
    let mended: String = name
        .to_lowercase()
        .chars()
        .map(|c| if is_lower_alphanumeric(c) || c == '_' { c } else { '-' })
        .skip_while(|c| !is_lower_alphanumeric(*c))
        .take(NAME_BYTES_MAX)
        .collect();
    mended.trim_end_matches('-').to_owned()
}

fn is_lower_alphanumeric(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// Says so where a destination cannot be called that.
pub(in crate::config) fn check(decoder: &mut Decoder<'_>, key: &Key) {
    let name = key.text.as_str();
    if is_good(name) {
        return;
    }
    let near = mended(name);
    let hint = if near.is_empty() { RULE.to_owned() } else { format!("{RULE}: `{near}`") };
    decoder.report.error(key.span.clone(), format!("{} cannot be a destination's name", quoted(name))).hint(hint);
}
