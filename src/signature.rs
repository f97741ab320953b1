//! The symmetric signatures of Standard Webhooks: by them a receiver knows that a request comes from this relay, that its
//! body is whole, and when it was made. Pure.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What a secret begins with. The libraries of Standard Webhooks take it off, or do without it.
pub const SECRET_PREFIX: &str = "whsec_";
/// The shortest secret, in bytes once decoded (Standard Webhooks, "Signature scheme").
pub const SECRET_BYTES_MIN: usize = 24;
/// The longest.
pub const SECRET_BYTES_MAX: usize = 64;
/// Private and public keys of the asymmetric scheme begin so.
const ASYMMETRIC_PREFIXES: [&str; 2] = ["whsk_", "whpk_"];

/// Why a text is not a secret to sign with, as what follows its name. Quotes nothing of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSecret {
    /// It begins so.
    #[error("begins with `{0}`: it is a key of the asymmetric scheme")]
    Asymmetric(&'static str),
    /// It is not encoded as secrets are.
    #[error("is not base64 behind `{SECRET_PREFIX}`")]
    NotBase64,
    /// It stands for so many bytes.
    #[error("has {0} byte{s}, and Standard Webhooks wants {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}", s = if *.0 == 1 { "" } else { "s" })]
    Length(usize),
}

/// A secret that requests are signed with. Cloning copies the key.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// Reads `whsec_` and base64 behind it.
    ///
    /// # Errors
    /// What is wrong with the secret, in words that quote nothing of it.
    pub fn parse(secret: &str) -> Result<Self, NoSecret> {
        if let Some(prefix) = ASYMMETRIC_PREFIXES.iter().find(|prefix| secret.starts_with(**prefix)) {
            return Err(NoSecret::Asymmetric(prefix));
        }
        let encoded = secret.strip_prefix(SECRET_PREFIX).unwrap_or(secret);
        let key = STANDARD.decode(encoded).map_err(|_| NoSecret::NotBase64)?;
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&key.len()) {
            return Err(NoSecret::Length(key.len()));
        }
        Hmac::new_from_slice(&key).map(Self).map_err(|_| NoSecret::Length(key.len()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

/// The value of `webhook-signature`: one signature a key, so that a receiver may know the old secret or the new one.
pub fn sign(keys: &[SigningKey], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signatures: Vec<String> = keys
        .iter()
        .map(|SigningKey(key)| {
            let mut mac = key.clone();
            mac.update(format!("{id}.{timestamp}.").as_bytes());
            mac.update(body);
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        })
        .collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn key(secret: &str) -> SigningKey {
        SigningKey::parse(secret).unwrap()
    }

    #[test]
    fn signs_as_the_specification_says() {
        let signed = sign(&[key(SECRET)], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(sign(&[key(&SECRET["whsec_".len()..])], "a", 1, b""), sign(&[key(SECRET)], "a", 1, b""), "the prefix is no part of it");
    }

    #[test]
    fn each_secret_gives_a_signature_of_its_own() {
        let other = key("whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB");
        let alone = |key: &SigningKey| sign(std::slice::from_ref(key), "id", 7, b"body");
        let both = sign(&[key(SECRET), other.clone()], "id", 7, b"body");
        assert_eq!(both, format!("{} {}", alone(&key(SECRET)), alone(&other)));
        let one = alone(&other);
        let keys = std::slice::from_ref(&other);
        for changed in [sign(keys, "ie", 7, b"body"), sign(keys, "id", 8, b"body"), sign(keys, "id", 7, b"bodz")] {
            assert_ne!(changed, one);
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_quoted() {
        for (secret, reason) in [
            ("whsec_s3cret!", "is not base64 behind `whsec_`"),
            ("", "has 0 bytes, and Standard Webhooks wants 24 to 64"),
            ("whsec_c2hvcnQ=", "has 5 bytes, and Standard Webhooks wants 24 to 64"),
            ("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begins with `whsk_`: it is a key of the asymmetric scheme"),
        ] {
            assert_eq!(SigningKey::parse(secret).map(|_| ()).map_err(|error| error.to_string()), Err(reason.to_owned()));
        }
        assert_eq!(format!("{:?}", key(SECRET)), "SigningKey");
    }
}
