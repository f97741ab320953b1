//! Is a webhook Wiza's? Its `x-auth-key` is the SHA-256 of the account's API key, in hex.

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

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

/// Whether an `x-auth-key` is the hash of any of the keys. The comparison takes the same time however much of a
/// wrong value is right, and compares with every key in any case; only the value's form (which says nothing of the
/// keys) is decided early.
pub fn is_authentic(header: Option<&[u8]>, keys: &[KeyHash]) -> bool {
    let Some(given) = header.and_then(parse_hex) else { return false };
    let matched = keys.iter().fold(Choice::from(0), |matched, key| matched | key[..].ct_eq(&given[..]));
    matched.into()
}

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

    #[test]
    fn any_of_several_keys_is_accepted() {
        let keys = [hash_api_key("old"), hash_api_key("abc")];
        assert!(is_authentic(Some(HASH_OF_ABC.as_bytes()), &keys));
        assert!(is_authentic(Some(to_hex(&keys[0]).as_bytes()), &keys));
        assert!(!is_authentic(Some(to_hex(&hash_api_key("new")).as_bytes()), &keys));
    }

    #[test]
    fn what_is_no_hash_is_plainly_wrong() {
        let keys = [hash_api_key("abc")];
        let longer = format!("{HASH_OF_ABC}0");
        let not_hex = HASH_OF_ABC.replace('b', "g");
        for header in [None, Some(""), Some("abc"), Some(&HASH_OF_ABC[..63]), Some(longer.as_str()), Some(not_hex.as_str()), Some("\u{e9}")]
        {
            assert!(!is_authentic(header.map(str::as_bytes), &keys), "{header:?}");
        }
        assert!(!is_authentic(Some(HASH_OF_ABC.as_bytes()), &[]), "no keys, no entry");
    }
}
