//! Is a webhook Wiza's? Its `x-auth-key` is the SHA-256 of the account's API key, in hex.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// A SHA-256.
pub type KeyHash = [u8; 32];

/// The SHA-256 of an API key: all of the key that the relay keeps.
pub fn hash_api_key(api_key: &str) -> KeyHash {
    Sha256::digest(api_key.as_bytes()).into()
}

/// Reads 64 hex digits of either case.
pub fn parse_hex(text: &[u8]) -> Option<KeyHash> {
    let mut hash = KeyHash::default();
    if text.len() != hash.len() * 2 {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(text.chunks_exact(2)) {
        let &[high, low] = digits else { return None };
        *byte = hex_digit(high)? << 4 | hex_digit(low)?;
    }
    Some(hash)
}

/// Writes 64 lower-case hex digits.
pub fn to_hex(hash: &KeyHash) -> String {
    hash.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

/// One accepted API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its SHA-256. The key itself is not kept.
    pub hash: KeyHash,
    /// Its name, which several keys of one account may share.
    pub account: Option<Arc<str>>,
    /// The path below the source's, without slashes at its ends, that it is bound to; `None`: it is accepted wherever no path is bound.
    pub path: Option<String>,
}

/// The accepted API keys.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys(Vec<ApiKey>);

/// What an `x-auth-key` is, at the path where it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'k> {
    /// None of the keys.
    Wrong,
    /// One of them, but at this path another is needed: the path is bound to others, or the key to another path.
    Elsewhere(&'k ApiKey),
    /// One that is accepted here.
    Right(&'k ApiKey),
}

impl ApiKeys {
    /// These keys, in this order.
    pub fn new(keys: Vec<ApiKey>) -> Self {
        Self(keys)
    }

    /// All of them.
    pub fn all(&self) -> &[ApiKey] {
        &self.0
    }

    /// The names of accounts, each once, in the file's order.
    pub fn accounts(&self) -> Vec<&str> {
        let mut accounts: Vec<&str> = Vec::new();
        for account in self.0.iter().filter_map(|key| key.account.as_deref()) {
            if !accounts.contains(&account) {
                accounts.push(account);
            }
        }
        accounts
    }

    /// Whether an `x-auth-key` is the hash of any of the keys, wherever it is accepted.
    pub fn knows(&self, header: Option<&[u8]>) -> bool {
        let Some(given) = header.and_then(parse_hex) else { return false };
        let matched = self.0.iter().fold(Choice::from(0), |matched, key| matched | key.hash[..].ct_eq(&given[..]));
        matched.into()
    }

    /// Judges an `x-auth-key` that came with a webhook to `path`, which is what follows the source's path. The comparison takes the
    /// same time however much of a wrong value is right, and compares with every key in any case; only the value's form and the
    /// path (which say nothing of the keys) are decided early.
    pub fn judge(&self, header: Option<&[u8]>, path: &str) -> Verdict<'_> {
        let Some(given) = header.and_then(parse_hex) else { return Verdict::Wrong };
        let bound_here = self.binding(path);
        let (mut here, mut elsewhere) = (NO_KEY, NO_KEY);
        for (place, key) in (0_u32..).zip(&self.0) {
            let is_equal = key.hash[..].ct_eq(&given[..]);
            let is_accepted = Choice::from(u8::from(key.path.as_deref() == bound_here));
            here.conditional_assign(&place, is_equal & is_accepted);
            elsewhere.conditional_assign(&place, is_equal);
        }
        let key = |place: u32| usize::try_from(place).ok().and_then(|place| self.0.get(place));
        match (key(here), key(elsewhere)) {
            (Some(key), _) => Verdict::Right(key),
            (None, Some(key)) => Verdict::Elsewhere(key),
            (None, None) => Verdict::Wrong,
        }
    }

    /// The bound path that `path` is, or lies below; of several the longest.
    fn binding(&self, path: &str) -> Option<&str> {
        let covers = |bound: &&str| path.strip_prefix(*bound).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.0.iter().filter_map(|key| key.path.as_deref()).filter(covers).max_by_key(|bound| bound.len())
    }
}

/// Stands for no place in the list: a file holds far fewer keys.
const NO_KEY: u32 = u32::MAX;

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4's own example.
    const HASH_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn hex_is_read_in_either_case_and_written_in_lower() {
        let hash = hash_api_key("abc");
        assert_eq!(to_hex(&hash), HASH_OF_ABC);
        assert_eq!(parse_hex(HASH_OF_ABC.as_bytes()), Some(hash));
        assert_eq!(parse_hex(HASH_OF_ABC.to_uppercase().as_bytes()), Some(hash));
    }

    fn key(text: &str, account: Option<&str>, path: Option<&str>) -> ApiKey {
        ApiKey { hash: hash_api_key(text), account: account.map(Into::into), path: path.map(str::to_owned) }
    }

    fn header(text: &str) -> String {
        to_hex(&hash_api_key(text))
    }

    #[test]
    fn any_of_several_keys_is_accepted() {
        let keys = ApiKeys::new(vec![key("old", None, None), key("abc", None, None)]);
        for right in [HASH_OF_ABC, &header("old")] {
            assert!(keys.knows(Some(right.as_bytes())));
            assert!(matches!(keys.judge(Some(right.as_bytes()), "any/path"), Verdict::Right(_)));
        }
        assert!(!keys.knows(Some(header("new").as_bytes())));
        assert_eq!(keys.judge(Some(header("new").as_bytes()), ""), Verdict::Wrong);
    }

    #[test]
    fn what_is_no_hash_is_plainly_wrong() {
        let keys = ApiKeys::new(vec![key("abc", None, None)]);
        let longer = format!("{HASH_OF_ABC}0");
        let not_hex = HASH_OF_ABC.replace('b', "g");
        for header in [None, Some(""), Some("abc"), Some(&HASH_OF_ABC[..63]), Some(longer.as_str()), Some(not_hex.as_str()), Some("\u{e9}")]
        {
            assert!(!keys.knows(header.map(str::as_bytes)), "{header:?}");
            assert_eq!(keys.judge(header.map(str::as_bytes), ""), Verdict::Wrong, "{header:?}");
        }
        assert_eq!(ApiKeys::default().judge(Some(HASH_OF_ABC.as_bytes()), ""), Verdict::Wrong, "no keys, no entry");
    }

    #[test]
    fn a_key_names_its_account_also_while_it_is_rotated() {
        let keys = ApiKeys::new(vec![key("a1", Some("emea"), None), key("a2", Some("emea"), None), key("b", Some("apac"), None)]);
        for (text, account) in [("a1", "emea"), ("a2", "emea"), ("b", "apac")] {
            let Verdict::Right(found) = keys.judge(Some(header(text).as_bytes()), "") else { panic!("{text}") };
            assert_eq!(found.account.as_deref(), Some(account), "{text}");
        }
        assert_eq!(keys.accounts(), ["emea", "apac"]);
    }

    #[test]
    fn a_bound_path_takes_its_keys_alone_and_they_go_nowhere_else() {
        let keys = ApiKeys::new(vec![
            key("free", None, None),
            key("emea", Some("emea"), Some("emea")),
            key("q4", Some("q4"), Some("emea/q4")),
            key("twice", Some("both"), Some("emea")),
            key("twice", Some("both"), Some("apac")),
        ]);
        for (text, right, elsewhere) in [
            ("free", &["", "x", "emeax", "Emea", "EMEA/q4", "%65mea", "/emea"][..], &["emea", "emea/", "emea/x", "emea/q4"][..]),
            ("emea", &["emea", "emea/", "emea/x", "emea/q45"], &["", "x", "emeax", "emea/q4", "emea/q4/x", "apac", "x/emea"]),
            ("q4", &["emea/q4", "emea/q4/x"], &["", "emea", "emea/x"]),
            ("twice", &["emea", "apac", "apac/x"], &["", "emea/q4"]),
        ] {
            let header = header(text);
            for path in right {
                let verdict = keys.judge(Some(header.as_bytes()), path);
                assert!(matches!(verdict, Verdict::Right(_)), "{text} at {path}: {verdict:?}");
            }
            for path in elsewhere {
                let verdict = keys.judge(Some(header.as_bytes()), path);
                assert!(matches!(verdict, Verdict::Elsewhere(_)), "{text} at {path}: {verdict:?}");
            }
        }
        assert_eq!(keys.judge(Some(header("stranger").as_bytes()), "emea"), Verdict::Wrong);
    }
}
