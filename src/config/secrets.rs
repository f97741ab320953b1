//! Keeps the values of `${...}` out of everything that is shown.

use super::text::Secret;

/// Shorter values are not masked in free text: a value like `1` or `eu` would blot out half of it, and says little.
pub const MASKED_BYTES_MIN: usize = 4;

/// Every value that came into a file from a variable or a file: what must not be seen in logs, pages or answers.
///
/// Defaults (`${NAME:-default}`) are not among them: they stand in the file for everybody to read.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// The longest first, so that a secret which holds another is masked whole.
    secrets: Vec<Secret>,
}

impl Secrets {
    pub(super) fn add(&mut self, secret: &Secret) {
        let value = secret.expose();
        if value.len() < MASKED_BYTES_MIN || self.secrets.iter().any(|known| known.expose() == value) {
            return;
        }
        let place = self.secrets.partition_point(|known| known.expose().len() >= value.len());
        self.secrets.insert(place, secret.clone());
    }

    /// `text` with each secret in it replaced by its `${NAME}`.
    ///
    /// Finds values as they are; values that were encoded on the way (percent, base64, JSON escapes) stay as they
    /// are. Values shorter than [`MASKED_BYTES_MIN`] bytes are left alone.
    pub fn mask(&self, text: &str) -> String {
        let mut masked = String::with_capacity(text.len());
        let mut rest = text;
        // One walk from left to right, so that a replacement is never searched for secrets itself.
        while let Some(character) = rest.chars().next() {
            match self.secrets.iter().find_map(|secret| Some((secret, rest.strip_prefix(secret.expose())?))) {
                Some((secret, after)) => {
                    masked.push_str(&secret.to_string());
                    rest = after;
                }
                None => {
                    masked.push(character);
                    rest = rest.get(character.len_utf8()..).unwrap_or_default();
                }
            }
        }
        masked
    }
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
    fn leaves_short_values_alone() {
        assert_eq!(secrets(&[("A", "abc")]).mask("abc"), "abc");
        assert_eq!(secrets(&[("A", "abcd")]).mask("abcd"), "${A}");
    }

    #[test]
    fn prints_no_value() {
        assert!(!format!("{:?}", secrets(&[("A", "s3cret")])).contains("s3cret"));
    }
}
