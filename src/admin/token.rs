//! The tokens of the admin port: one that may do everything, one that may look; given as they are, or in files that are
//! read again while the relay runs.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The shortest token that is taken: 64 bits, if it is random and hexadecimal.
const TOKEN_BYTES_MIN: usize = 16;
/// What a token's file may hold: more is not a token.
const FILE_BYTES_MAX: u64 = 4096;
/// How often a token's file is read. Polling and not a watch: it finds a replaced file, a swapped symbolic link of Kubernetes
/// and a file system that tells nothing, and reading some bytes costs nothing.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Why there is no token, or not the one that was given. No variant holds anything of a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It could be guessed.
    #[error("the token is shorter than {TOKEN_BYTES_MIN} characters; `openssl rand -hex 32` makes a good one")]
    TooShort,
    /// No header can carry it.
    #[error("the token may hold letters, digits and ASCII signs only, no blanks")]
    Unsendable,
    /// The system does not let its file be read.
    #[error("{0}")]
    Unread(#[from] io::Error),
    /// What is named is a folder, a pipe, a device.
    #[error("it is not a file")]
    NoFile,
    /// Its file holds more than a token.
    #[error("it is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    /// The file at this path is wrong.
    #[error("{}: {}", .0.display(), .1)]
    InFile(PathBuf, #[source] Box<TokenError>),
    /// The flag of this name is wrong.
    #[error("--{0}: {1}")]
    OfFlag(String, #[source] Box<TokenError>),
    /// The flag of this name and its `-file` are both given.
    #[error("{}", both(.0))]
    Both(String),
    /// Then nobody could say who may change things.
    #[error("the viewer token is the admin token; `openssl rand -hex 32` makes another")]
    OneForBoth,
}

impl TokenError {
    /// Whether a second reading of a file found what this one did.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unread(error), Self::Unread(other)) => error.kind() == other.kind(),
            (Self::InFile(path, error), Self::InFile(other, other_error)) => path == other && error.is_same(other_error),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// A token. Shown by no log and no error.
#[derive(Debug, Clone)]
pub struct AdminToken(SecretString);

impl AdminToken {
    /// Takes a token.
    ///
    /// # Errors
    /// One that could be guessed, or that no header can carry.
    pub fn new(token: &str) -> Result<Self, TokenError> {
        if token.len() < TOKEN_BYTES_MIN {
            return Err(TokenError::TooShort);
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Unsendable);
        }
        Ok(Self(token.to_owned().into()))
    }

    /// Reads a token from a file, whose last line break does not count.
    ///
    /// # Errors
    /// Where the file cannot be read or holds no token, with its path and without what it holds.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        Self::read_file(path).map_err(|error| TokenError::InFile(path.to_owned(), Box::new(error)))
    }

    fn read_file(path: &Path) -> Result<Self, TokenError> {
        if !std::fs::metadata(path)?.is_file() {
            return Err(TokenError::NoFile);
        }
        let mut text = String::new();
        let file = std::fs::File::open(path)?;
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(TokenError::TooLarge);
        }
        let token = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        Self::new(token)
    }

    /// The token itself, for the header of a request.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Takes as long for a token that is nearly right as for any other.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        let hash = |bytes: &[u8]| <[u8; 32]>::from(Sha256::digest(bytes));
        hash(self.0.expose_secret().as_bytes()).ct_eq(&hash(given)).into()
    }
}

/// A token that is in force, and the file that it is read from again and again, if there is one.
#[derive(Debug)]
pub struct Kept {
    token: ArcSwap<AdminToken>,
    file: Option<PathBuf>,
}

impl Kept {
    /// Takes what the flags `--NAME` and `--NAME-file` say; `None` where neither is given.
    ///
    /// # Errors
    /// Where both are given, or one holds no token.
    pub fn from_flags(name: &str, given: Option<&str>, file: Option<PathBuf>) -> Result<Option<Self>, TokenError> {
        let of = |flag: String| move |error| TokenError::OfFlag(flag, Box::new(error));
        let (token, file) = match (given, file) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => return Err(TokenError::Both(name.to_owned())),
            (Some(given), None) => (AdminToken::new(given).map_err(of(name.to_owned()))?, None),
            (None, Some(file)) => (AdminToken::read(&file).map_err(of(format!("{name}-file")))?, Some(file)),
        };
        Ok(Some(Self { token: ArcSwap::from_pointee(token), file }))
    }

    /// Whether this is the token that is in force now.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        self.token.load().is(given)
    }

    /// Reads the file again: the token that it holds now, if that is another than the one in force.
    fn newer(&self) -> Result<Option<Arc<AdminToken>>, TokenError> {
        let Some(file) = &self.file else { return Ok(None) };
        let token = AdminToken::read(file)?;
        Ok((!self.is(token.expose().as_bytes())).then(|| Arc::new(token)))
    }
}

/// What is said of a flag and its `-file` together.
pub fn both(name: &str) -> String {
    let variable = format!("WIZA_RELAY_{}", name.replace('-', "_").to_uppercase());
    format!("--{name} and --{name}-file are both given; leave one out ({variable} and {variable}_FILE count too)")
}

/// The admin port's tokens.
#[derive(Debug, Default)]
pub struct Tokens {
    admin: Option<Kept>,
    viewer: Option<Kept>,
}

/// Whose token it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Admin,
    Viewer,
}

impl Tokens {
    /// These tokens; without any, programs on this machine may do everything where the port listens on loopback.
    ///
    /// # Errors
    /// Where both are one token.
    pub fn new(admin: Option<Kept>, viewer: Option<Kept>) -> Result<Self, TokenError> {
        if let (Some(admin), Some(viewer)) = (&admin, &viewer)
            && admin.is(viewer.token.load().expose().as_bytes())
        {
            return Err(TokenError::OneForBoth);
        }
        Ok(Self { admin, viewer })
    }

    pub(super) fn are_none(&self) -> bool {
        self.admin.is_none() && self.viewer.is_none()
    }

    pub(super) fn may_change(&self) -> bool {
        self.admin.is_some()
    }

    /// Whose token this is. Both are compared, whatever the first says.
    pub(super) fn holder(&self, given: &[u8]) -> Option<Holder> {
        let is = |kept: &Option<Kept>| kept.as_ref().is_some_and(|kept| kept.is(given));
        match (is(&self.admin), is(&self.viewer)) {
            (true, _) => Some(Holder::Admin),
            (false, true) => Some(Holder::Viewer),
            (false, false) => None,
        }
    }

    /// Reads both files again, and tells of the admin's and of the viewer's token whether it was replaced. Both are looked at
    /// together: a viewer token that became the admin token too would let all who look change things.
    fn read_again(&self) -> [Result<bool, TokenError>; 2] {
        let both = [&self.admin, &self.viewer];
        let newer = both.map(|kept| kept.as_ref().map_or(Ok(None), Kept::newer));
        let mut next = both.iter().zip(&newer).map(|(kept, newer)| {
            let in_force = || kept.as_ref().map(|kept| kept.token.load_full());
            newer.as_ref().ok().and_then(Clone::clone).or_else(in_force)
        });
        let are_one = match (next.next().flatten(), next.next().flatten()) {
            (Some(admin), Some(viewer)) => admin.is(viewer.expose().as_bytes()),
            _ => false,
        };
        let mut newer = both.into_iter().zip(newer);
        std::array::from_fn(|_| match newer.next() {
            Some((Some(kept), newer)) => match newer? {
                Some(_) if are_one => Err(TokenError::OneForBoth),
                Some(token) => {
                    kept.token.store(token);
                    Ok(true)
                }
                None => Ok(false),
            },
            _ => Ok(false),
        })
    }

    /// Reads the files again and again, for as long as it is polled. A file that cannot be read, that holds no token, or that
    /// holds the other one's, changes nothing: the old token stays in force, and the log says so once.
    pub async fn keep_current(self: Arc<Self>) {
        if [&self.admin, &self.viewer].into_iter().flatten().all(|kept| kept.file.is_none()) {
            return;
        }
        let mut told: [Option<TokenError>; 2] = [None, None];
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let tokens = Arc::clone(&self);
            let Ok(results) = tokio::task::spawn_blocking(move || tokens.read_again()).await else { continue };
            for ((flag, result), told) in ["--admin-token-file", "--viewer-token-file"].into_iter().zip(results).zip(&mut told) {
                match result {
                    Ok(changed) => {
                        if changed {
                            tracing::info!(flag, by = "file change", "a token was replaced; the old one is no longer taken");
                        }
                        *told = None;
                    }
                    Err(error) => {
                        if !told.as_ref().is_some_and(|told| told.is_same(&error)) {
                            tracing::error!(flag, %error, "a token was not replaced; the old one stays in force");
                        }
                        *told = Some(error);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    #[test]
    fn a_token_that_can_be_guessed_or_sent_by_nobody_is_refused_and_none_is_shown() {
        for token in ["", "guess", "0123456789 abcdef", "0123456789abcdéf0"] {
            let error = AdminToken::new(token).unwrap_err().to_string();
            assert!(token.is_empty() || !error.contains(token), "{error}");
        }
        assert!(!format!("{:?}", AdminToken::new(TOKEN).unwrap()).contains(TOKEN));
    }

    #[test]
    fn a_file_holds_one_line_and_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, format!("{TOKEN}\r\n")).unwrap();
        let tokens = Tokens::new(Kept::from_flags("admin-token", None, Some(path.clone())).unwrap(), None).unwrap();
        let is_admin = |token: &[u8]| tokens.holder(token) == Some(Holder::Admin);
        assert!(is_admin(TOKEN.as_bytes()));
        assert!(matches!(tokens.read_again(), [Ok(false), Ok(false)]));
        for not_a_token in ["", "short", "0123456789abcdef\nsecond line", "\u{feff}0123456789abcdef", &"x".repeat(5000)] {
            std::fs::write(&path, not_a_token).unwrap();
            let [error, _] = tokens.read_again();
            let error = error.unwrap_err().to_string();
            assert!(error.starts_with(&path.display().to_string()), "{error}");
            assert!(is_admin(TOKEN.as_bytes()), "the old one stays");
        }
        std::fs::write(&path, "fedcba9876543210").unwrap();
        assert!(matches!(tokens.read_again(), [Ok(true), Ok(false)]));
        assert!(is_admin(b"fedcba9876543210") && !is_admin(TOKEN.as_bytes()));
        let error = AdminToken::read(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("it is not a file"), "{error}");
    }

    #[test]
    fn no_file_that_is_read_again_makes_both_tokens_one() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["admin", "viewer"].map(|name| folder.path().join(name));
        let write = |tokens: [&str; 2]| paths.iter().zip(tokens).for_each(|(path, token)| std::fs::write(path, token).unwrap());
        let (first, second, third) = (TOKEN, "fedcba9876543210", "0000000011111111");
        write([first, second]);
        let kept = |name, path: &PathBuf| Kept::from_flags(name, None, Some(path.clone())).unwrap();
        let tokens = Tokens::new(kept("admin-token", &paths[0]), kept("viewer-token", &paths[1])).unwrap();
        let in_force = |admin: &str, viewer: &str| {
            let holders = [admin, viewer].map(|token| tokens.holder(token.as_bytes()));
            assert_eq!(holders, [Some(Holder::Admin), Some(Holder::Viewer)]);
        };
        let refused = || Err(TokenError::OneForBoth.to_string());
        for (written, results) in [
            ([second, second], [refused(), Ok(false)]),
            ([first, first], [Ok(false), refused()]),
            ([third, third], [refused(), refused()]),
            ([second, "short"], [refused(), Err(format!("{}: {}", paths[1].display(), AdminToken::new("short").unwrap_err()))]),
        ] {
            write(written);
            assert_eq!(tokens.read_again().map(|result| result.map_err(|error| error.to_string())), results);
            in_force(first, second);
        }
        // Two that change places are two all the same.
        write([second, first]);
        assert!(matches!(tokens.read_again(), [Ok(true), Ok(true)]));
        in_force(second, first);
    }

    #[test]
    fn two_places_for_one_token_and_one_token_for_two_are_refused() {
        let error = Kept::from_flags("viewer-token", Some(TOKEN), Some("/token".into())).unwrap_err().to_string();
        assert!(error.contains("--viewer-token-file") && error.contains("WIZA_RELAY_VIEWER_TOKEN_FILE"), "{error}");
        let given = |name, token| Kept::from_flags(name, Some(token), None).unwrap();
        assert!(Tokens::new(given("admin-token", TOKEN), given("viewer-token", TOKEN)).is_err());
        let tokens = Tokens::new(given("admin-token", TOKEN), given("viewer-token", "fedcba9876543210")).unwrap();
        assert_eq!(tokens.holder(TOKEN.as_bytes()), Some(Holder::Admin));
        assert_eq!(tokens.holder(b"fedcba9876543210"), Some(Holder::Viewer));
        assert_eq!(tokens.holder(b"0123456789abcdeF"), None);
    }
}
