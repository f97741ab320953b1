//! Keeps the values of `${...}` out of everything that is shown.

mod canonical;

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use url::Url;

use super::interpolate;
use crate::text::Secret;
use canonical::Canonical;

/// Shorter values are not masked in free text: a value like `1` or `eu` would blot out half of it, and says little.
pub const MASKED_BYTES_MIN: usize = 4;
/// Shorter pieces of base64 are not looked for: they would be found by chance.
const BASE64_CHARACTERS_MIN: usize = 6;

/// Every value that came into a file from a variable or a file: what must not be seen in logs, pages or answers.
///
/// Defaults (`${NAME:-default}`) are not among them: they stand in the file for everybody to read.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    secrets: Vec<Secret>,
    /// Those among the values that came from a file (`${file:...}`, `--secrets-from`), short ones too.
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

    pub(in crate::config) fn add(&mut self, secret: &Secret) {
        let value = secret.expose();
        if secret.file.is_some() && self.from_files.iter().all(|known| known.name != secret.name) {
            self.from_files.push(secret.clone());
        }
        if value.len() < MASKED_BYTES_MIN || self.secrets.iter().any(|known| known.expose() == value) {
            return;
        }
        self.secrets.push(secret.clone());
        self.finder = OnceLock::new();
    }

    /// Whether a file that a value came from holds something else now, or cannot be read any more.
    pub fn files_changed(&self) -> bool {
        self.from_files.iter().any(|secret| {
            let Some(path) = &secret.file else { return false };
            interpolate::read_file(path).ok().as_deref() != Some(secret.expose())
        })
    }

    /// `text` with each secret in it replaced by its `${NAME}`; of two that begin at one place the longer counts.
    ///
    /// Finds values as they are and in the forms in which they come back: in a URL, a query or a form, in a JSON string or
    /// HTML, each with any of its escapes, and several of these around each other; in base64, also as a part of what was encoded
    /// (`user:secret`), and then all of it is replaced. Otherwise encoded (a hash) they stay as they are, and so do values
    /// shorter than [`MASKED_BYTES_MIN`] bytes.
    pub fn mask(&self, text: &str) -> String {
        match self.finder.get_or_init(|| Finder::new(&self.secrets)) {
            Some(finder) => finder.mask(text),
            None => text.to_owned(),
        }
    }
}

/// Finds all forms of all secrets, and replaces what was found only then, so that a replacement is never searched itself.
#[derive(Clone)]
struct Finder {
    /// In a text as it is.
    plain: Needles,
    /// In a text whose escapes are undone.
    canonical: Needles,
}

/// The forms that are looked for in one walk.
#[derive(Clone)]
struct Needles {
    automaton: AhoCorasick,
    /// By the number of a form: what is shown in its place, and whether it is a piece of base64.
    shown: Vec<(String, bool)>,
}

/// A part of a text that is to be replaced.
struct Found<'a> {
    start: usize,
    end: usize,
    /// So many of its bytes are the secret.
    secret: usize,
    shown: &'a str,
}

impl Finder {
    /// `None` where there is nothing to find.
    fn new(secrets: &[Secret]) -> Option<Self> {
        let (mut plain, mut canonical) = (Vec::new(), Vec::new());
        for secret in secrets {
            let mut forms: Vec<(String, bool)> = forms_of(secret.expose()).into_iter().map(|form| (form, false)).collect();
            forms.retain(|(form, _)| form.len() >= MASKED_BYTES_MIN);
            forms.extend(base64_of(secret.expose()).into_iter().map(|form| (form, true)));
            for (form, encoded) in forms {
                let undone = Canonical::of(&form).map_or_else(|| form.clone().into_bytes(), |canonical| canonical.bytes);
                if undone.len() >= MASKED_BYTES_MIN {
                    canonical.push((undone, secret.to_string(), encoded));
                }
                plain.push((form.into_bytes(), secret.to_string(), encoded));
            }
        }
        Some(Self { plain: Needles::new(plain)?, canonical: Needles::new(canonical)? })
    }

    fn mask(&self, text: &str) -> String {
        let mut all: Vec<Found<'_>> = self.plain.find(text.as_bytes()).map(|(start, end, form)| found(text, start, end, form)).collect();
        if let Some(canonical) = Canonical::of(text) {
            all.extend(self.canonical.find(&canonical.bytes).map(|(start, end, form)| {
                let (start, end) = canonical.source(start, end);
                found(text, start, end, form)
            }));
        }
        // Where one text of base64 holds several (`user:secret`), the longest names it.
        all.sort_by_key(|found| (found.start, std::cmp::Reverse(found.end), std::cmp::Reverse(found.secret)));
        let mut masked = String::with_capacity(text.len());
        let mut end = 0;
        for found in all {
            if found.start >= end {
                masked.push_str(text.get(end..found.start).unwrap_or_default());
                masked.push_str(found.shown);
            }
            // What overlaps with what was replaced already goes with it.
            end = end.max(found.end);
        }
        masked.push_str(text.get(end..).unwrap_or_default());
        masked
    }
}

impl Needles {
    fn new(mut forms: Vec<(Vec<u8>, String, bool)>) -> Option<Self> {
        let mut known = std::collections::HashSet::new();
        forms.retain(|(form, ..)| known.insert(form.clone()));
        if forms.is_empty() {
            return None;
        }
        // Values are at most 64 KiB each, so the automaton's own limit (2^31 states) is out of reach. Of its kinds this one is the
        // smallest: replies are short, and a key in PEM has as many states as characters in each of its forms.
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .match_kind(MatchKind::Standard)
            .build(forms.iter().map(|(form, ..)| form))
            .ok()?;
        Some(Self { automaton, shown: forms.into_iter().map(|(_, shown, encoded)| (shown, encoded)).collect() })
    }

    /// Where forms are, and which; each of those that overlap.
    fn find<'a>(&'a self, bytes: &[u8]) -> impl Iterator<Item = (usize, usize, &'a (String, bool))> {
        let matches = self.automaton.find_overlapping_iter(bytes);
        matches.filter_map(|found| Some((found.start(), found.end(), self.shown.get(found.pattern().as_usize())?)))
    }
}

/// A part of a text that holds a secret. Of base64 it is all that was encoded together.
fn found<'a>(text: &str, start: usize, end: usize, (shown, encoded): &'a (String, bool)) -> Found<'a> {
    let belongs = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/-_=%".contains(byte);
    let secret = end.saturating_sub(start);
    let (mut start, mut end) = (start, end);
    if *encoded {
        start -= text.as_bytes().get(..start).unwrap_or_default().iter().rev().take_while(belongs).count();
        end += text.as_bytes().get(end..).unwrap_or_default().iter().take_while(belongs).count();
    }
    // An escape begins and ends between characters; bytes that are no UTF-8 may not.
    let start = (0..=start).rev().find(|place| text.is_char_boundary(*place)).unwrap_or(0);
    let end = (end..=text.len()).find(|place| text.is_char_boundary(*place)).unwrap_or(text.len());
    Found { start, end, secret, shown }
}

/// Shows no needle.
impl std::fmt::Debug for Finder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Finder").field("shown", &self.plain.shown).finish()
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

/// The pieces of base64 that hold a value, wherever in what was encoded it stands: of the three ways in which it can fall into
/// groups of three bytes, each without the characters that other bytes have a part in.
fn base64_of(value: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    for before in 0..3 {
        let bytes = [&vec![0; before], value.as_bytes()].concat();
        let whole = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            pieces.extend(encoded.get(whole.clone()).filter(|piece| piece.len() >= BASE64_CHARACTERS_MIN).map(str::to_owned));
        }
    }
    pieces
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
    fn of_several_in_one_text_of_base64_the_longest_names_it() {
        use base64::engine::general_purpose::STANDARD;
        let secrets = secrets(&[("NAME", "relay"), ("PASSWORD", "Zq7-password")]);
        assert_eq!(secrets.mask(&format!("Basic {}", STANDARD.encode("relay:Zq7-password"))), "Basic ${PASSWORD}");
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
    fn finds_a_value_in_whatever_form_it_comes_back() {
        let value = "k/ey+\u{e9} <\"&'>\u{1f600}";
        let secrets = secrets(&[("A", value)]);
        for form in [
            r#"k\/ey+\u00e9 <\"&'>\ud83d\ude00"#,
            r#"k\/ey+\u00E9 \u003C\u0022\u0026\u0027\u003E\uD83D\uDE00"#,
            r#"k/ey\u002b\u00e9 \u003c\"\u0026\u0027\u003e\ud83d\ude00"#,
            "k%2fey%2b%c3%a9%20%3c%22%26%27%3e%f0%9f%98%80",
            "k%2Fey%2B%C3%A9+%3C%22%26%27%3E%F0%9F%98%80",
            "k/ey+%C3%A9%20%3C%22&'%3E%F0%9F%98%80",
            "k/ey+\u{e9} &lt;&quot;&amp;&#39;&gt;\u{1f600}",
            "k&#47ey&#x2b&#233 &lt;&#34&amp;&#39&gt;&#x1f600",
            "k&#x2F;ey&#43;&#233; &lt;&#34;&amp;&#x27;&gt;&#x1f600;",
            "k%252Fey%252B%25C3%25A9%2520%253C%2522%2526%2527%253E%25F0%259F%2598%2580",
        ] {
            assert_eq!(secrets.mask(&format!("you sent [{form}], didn't you")), "you sent [${A}], didn't you", "{form}");
        }
    }

    #[test]
    fn finds_a_value_in_base64_also_as_a_part_of_what_was_encoded() {
        let secrets = secrets(&[("A", "s3cret-~~~token")]);
        for before in ["", "u:", "user:", "somebody:", "{\"token\":\""] {
            for after in ["", "x", "\"}", ", and more"] {
                let whole = format!("{before}s3cret-~~~token{after}");
                for encoded in [STANDARD_NO_PAD.encode(&whole) + "=", URL_SAFE_NO_PAD.encode(&whole)] {
                    let escaped = encoded.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
                    for encoded in [encoded.clone(), escaped, encoded.replace('/', "\\/")] {
                        let masked = secrets.mask(&format!("\"Basic {encoded}\" was refused"));
                        assert!(masked.starts_with("\"Basic ") && masked.ends_with("\" was refused"), "{masked}");
                        assert!(masked.contains("${A}") && masked.len() < 35, "{whole}: {masked}");
                    }
                }
            }
        }
        assert_eq!(secrets.mask("c3VwZXIgc2VjcmV0"), "c3VwZXIgc2VjcmV0", "base64 of something else");
    }

    #[test]
    fn a_value_that_looks_escaped_is_found_as_it_is_and_escaped() {
        let secrets = secrets(&[("A", r"p%41ss\nword&amp;")]);
        for form in [r"p%41ss\nword&amp;", r"p%2541ss%5Cnword%26amp%3B", r"p%41ss\\nword&amp;", r"p%41ss\nword&amp;amp;"] {
            assert_eq!(secrets.mask(form), "${A}", "{form}");
        }
        // As it is, behind what would be the beginning of an escape.
        assert_eq!(super::tests::secrets(&[("B", "41nabc")]).mask("100%41nabc \\41nabc"), "100%${B} \\${B}");
    }

    #[test]
    fn of_values_that_overlap_nothing_is_left() {
        let secrets = secrets(&[("A", "one-two"), ("B", "two-three")]);
        assert_eq!(secrets.mask("one-two-three!"), "${A}!");
        assert_eq!(secrets.mask("one%2Dtwo%2dthree!"), "${A}!");
    }

    #[test]
    fn nothing_else_is_changed() {
        let secrets = secrets(&[("A", "s3cret")]);
        for text in ["100% &c. \\q", "{\"a\": \"\\u00e9\\/\"}", "a+b%20c&amp;d", "\u{e9}\u{1f600}%", ""] {
            assert_eq!(secrets.mask(text), text);
        }
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
