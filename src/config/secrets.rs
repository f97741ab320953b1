//! Keeps the values of `${...}` out of everything that is shown.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, MatchKind};
use url::Url;

use super::interpolate::{self, FILE_PREFIX};
use super::text::Secret;

/// Shorter values are not masked in free text: a value like `1` or `eu` would blot out half of it, and says little.
pub const MASKED_BYTES_MIN: usize = 4;

/// Every value that came into a file from a variable or a file: what must not be seen in logs, pages or answers.
///
/// Defaults (`${NAME:-default}`) are not among them: they stand in the file for everybody to read.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    secrets: Vec<Secret>,
    /// Those among the values that came from a file (`${file:...}`), short ones too.
    from_files: Vec<Secret>,
    /// Made when the first text is masked: a reply of every delivery is.
    finder: OnceLock<Option<Finder>>,
}

impl Secrets {
    /// One value alone, that came from nowhere in the file.
    pub fn of(secret: &Secret) -> Self {
        let mut secrets = Self::default();
        secrets.add(secret);
        secrets
    }

    pub(super) fn add(&mut self, secret: &Secret) {
        let value = secret.expose();
        if secret.name.starts_with(FILE_PREFIX) && self.from_files.iter().all(|known| known.name != secret.name) {
            self.from_files.push(secret.clone());
        }
        if value.len() < MASKED_BYTES_MIN || self.secrets.iter().any(|known| known.expose() == value) {
            return;
        }
        self.secrets.push(secret.clone());
        self.finder = OnceLock::new();
    }

    /// Whether a file behind a `${file:...}` holds something else now, or cannot be read any more.
    pub fn files_changed(&self) -> bool {
        self.from_files.iter().any(|secret| {
            let path = secret.name.strip_prefix(FILE_PREFIX).unwrap_or_default();
            interpolate::read_file(path).ok().as_deref() != Some(secret.expose())
        })
    }

    /// `text` with each secret in it replaced by its `${NAME}`; of two that begin at one place the longer counts.
    ///
    /// Finds values as they are and as they stand in a URL, a query or a JSON string. Otherwise encoded (base64, a
    /// hash) they stay as they are, and so do values shorter than [`MASKED_BYTES_MIN`] bytes.
    pub fn mask(&self, text: &str) -> String {
        match self.finder.get_or_init(|| Finder::new(&self.secrets)) {
            Some(finder) => finder.mask(text),
            None => text.to_owned(),
        }
    }
}

/// Finds all forms of all secrets in one walk, so that a replacement is never searched for secrets itself.
#[derive(Clone)]
struct Finder {
    automaton: AhoCorasick,
    /// By the number of a form.
    shown: Vec<String>,
}

impl Finder {
    /// `None` where there is nothing to find.
    fn new(secrets: &[Secret]) -> Option<Self> {
        let mut forms: Vec<(String, String)> = Vec::new();
        for secret in secrets {
            for form in forms_of(secret.expose()) {
                if form.len() >= MASKED_BYTES_MIN && forms.iter().all(|(known, _)| *known != form) {
                    forms.push((form, secret.to_string()));
                }
            }
        }
        let (needles, shown): (Vec<String>, Vec<String>) = forms.into_iter().unzip();
        if needles.is_empty() {
            return None;
        }
        // Values are at most 64 KiB each, so the automaton's own limit (2^31 states) is out of reach.
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&needles).ok()?;
        Some(Self { automaton, shown })
    }

    fn mask(&self, text: &str) -> String {
        let mut masked = String::with_capacity(text.len());
        let mut end = 0;
        for found in self.automaton.find_iter(text) {
            masked.push_str(text.get(end..found.start()).unwrap_or_default());
            masked.push_str(self.shown.get(found.pattern().as_usize()).map_or("${...}", String::as_str));
            end = found.end();
        }
        masked.push_str(text.get(end..).unwrap_or_default());
        masked
    }
}

/// Shows no needle.
impl std::fmt::Debug for Finder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Finder").field("shown", &self.shown).finish()
    }
}

/// A value as it is, and as it looks where it was put into a URL, a query or a JSON string.
fn forms_of(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    if let Ok(url) = Url::parse(value) {
        let normal = url.as_str();
        // The empty path is written `/`, and what follows the value in a URL may be a path of its own.
        forms.push(normal.strip_suffix('/').filter(|_| !value.ends_with('/')).unwrap_or(normal).to_owned());
    }
    let path = |value: &str| {
        let mut url = Url::parse("http://h/").ok()?;
        url.set_path(&format!("/{value}"));
        url.path().strip_prefix('/').map(str::to_owned)
    };
    forms.extend(path(value));
    forms.push(url::form_urlencoded::byte_serialize(value.as_bytes()).collect());
    let json = serde_json::Value::from(value).to_string();
    forms.extend(json.get(1..json.len() - 1).map(str::to_owned)); // without its quotes
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(pairs: &[(&str, &str)]) -> Secrets {
        let mut secrets = Secrets::default();
        for (name, value) in pairs {
            secrets.add(&Secret::new(*name, *value));
        }
        secrets
    }

    #[test]
    fn masks_the_longest_first() {
        let secrets = secrets(&[("SHORT", "s3cret"), ("LONG", "s3cret-and-more"), ("OTHER", "\u{e9}\u{e9}t\u{e9}")]);
        assert_eq!(secrets.mask("a s3cret-and-more, s3cret \u{e9}\u{e9}t\u{e9}\u{e9}"), "a ${LONG}, ${SHORT} ${OTHER}\u{e9}");
    }

    #[test]
    fn masks_no_mask() {
        assert_eq!(secrets(&[("TOKEN", "TOKEN"), ("B", "long TOKEN")]).mask("long TOKEN"), "${B}");
    }

    #[test]
    fn finds_a_value_in_a_url_and_in_json() {
        let one = |value: &str| secrets(&[("A", value)]);
        assert_eq!(one("HTTPS://Hooks.Example.com").mask("https://hooks.example.com/x"), "${A}/x");
        assert_eq!(one("https://h.example.com/a b/").mask("https://h.example.com/a%20b/"), "${A}");
        assert_eq!(one("to ken").mask("https://h/to%20ken?t=to+ken"), "https://h/${A}?t=${A}");
        assert_eq!(one("say \"hi\"").mask(r#"{"echo":"say \"hi\""}"#), r#"{"echo":"${A}"}"#);
    }

    #[test]
    fn a_value_added_later_is_found_too() {
        let mut secrets = secrets(&[("A", "first")]);
        assert_eq!(secrets.mask("first second"), "${A} second");
        secrets.add(&Secret::new("B", "second"));
        assert_eq!(secrets.mask("first second"), "${A} ${B}");
    }

    #[test]
    fn leaves_short_values_alone() {
        assert_eq!(secrets(&[("A", "abc")]).mask("abc"), "abc");
        assert_eq!(secrets(&[("A", "abcd")]).mask("abcd"), "${A}");
    }

    #[test]
    fn prints_no_value() {
        let secrets = secrets(&[("A", "s3cret")]);
        assert_eq!(secrets.mask("s3cret"), "${A}");
        assert!(!format!("{secrets:?}").contains("s3cret"));
    }
}
