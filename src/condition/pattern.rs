//! I-Regexp patterns (RFC 9485) on the `regex` crate, which takes time linear in the text.
//!
//! Every I-Regexp is understood. So is what the crate knows beyond it, above all `(?i)`: RFC 9485 has no way to ignore
//! case, and people need one.

use regex::{Regex, RegexBuilder};

/// The memory that a compiled pattern may take, in bytes. It is compiled for the first of these that it fits, which
/// tells its size: the crate does not, and the time of a search grows with it.
const COMPILED_BYTES: [usize; 5] = [1024, 4 * 1024, 16 * 1024, 64 * 1024, 256 * 1024];
/// The largest of them.
pub(in crate::condition) const COMPILED_BYTES_MAX: usize = COMPILED_BYTES[COMPILED_BYTES.len() - 1];
/// How deep groups may nest in a pattern.
const GROUP_DEPTH_MAX: u32 = 32;

/// A pattern, ready to search with.
#[derive(Debug)]
pub(in crate::condition) struct Compiled {
    pub regex: Regex,
    /// About the memory that it takes, in bytes. In the worst case a search looks at all of it for each byte of the text.
    pub bytes: usize,
}

/// Compiles a pattern: for the whole of a text, or for any part of it.
///
/// # Errors
/// One line about what is wrong with the pattern.
pub(in crate::condition) fn compile(pattern: &str, whole: bool) -> Result<Compiled, String> {
    let translated = translate(pattern);
    let part = build(&translated)?;
    if whole {
        // Only once the pattern is known to be one: `a)|(b` must not close the group around it.
        build(&format!("\\A(?:{translated})\\z"))
    } else {
        Ok(part)
    }
}

fn build(pattern: &str) -> Result<Compiled, String> {
    let mut tried = Err(regex::Error::CompiledTooBig(0));
    for bytes in COMPILED_BYTES {
        tried = RegexBuilder::new(pattern).size_limit(bytes).nest_limit(GROUP_DEPTH_MAX).build().map(|regex| Compiled { regex, bytes });
        if !matches!(tried, Err(regex::Error::CompiledTooBig(_))) {
            break;
        }
    }
    tried.map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("compiled, it takes more than {limit} bytes; repeat it fewer times, or a smaller class such as `[a-z]`")
        }
        // The crate draws a picture over several lines; the last one says what is wrong.
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        }
    })
}

/// An I-Regexp's dot stands for neither end of a line (RFC 9485, 5.3); the crate's only leaves out `\n`.
fn translate(pattern: &str) -> String {
    let mut translated = String::with_capacity(pattern.len() + 16);
    // Classes nest in the crate's syntax, though not in an I-Regexp.
    let mut open_classes = 0_usize;
    let mut escaped = false;
    for character in pattern.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => open_classes += 1,
            ']' => open_classes = open_classes.saturating_sub(1),
            '.' if open_classes == 0 => {
                translated.push_str("[^\\n\\r]");
                continue;
            }
            _ => {}
        }
        translated.push(character);
    }
    translated
}
