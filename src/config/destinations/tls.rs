//! `tls` of a destination: whom it trusts, and by which certificate the relay is known.

use std::fs::File;
use std::io;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretSlice};

use crate::tls::{Authorities, Culprit, Identity, PemError};

use crate::config::findings::finding::quoted;
use crate::config::reading::decode::Decoder;
use crate::config::yaml::Node;

/// What a file of certificates may hold. The authorities of a whole system are a quarter of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How connections to a destination are secured, beyond what holds for all.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// In place of the system's authorities.
    pub authorities: Option<Authorities>,
    /// The relay's own certificate.
    pub identity: Option<Identity>,
    files: Vec<PemFile>,
}

/// Equal where connections would be the same: it does not matter in which files it stands.
impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.authorities == other.authorities && self.identity == other.identity
    }
}

impl Tls {
    /// Whether one of the files holds something else now, or cannot be read any more.
    pub fn files_changed(&self) -> bool {
        let unchanged = |file: &PemFile| read(&file.path).is_ok_and(|now| now.expose_secret() == file.content.expose_secret());
        !self.files.iter().all(unchanged)
    }

    /// Trusts the authorities of this file, in place of the system's.
    ///
    /// # Errors
    /// What is wrong, as what follows the file's name.
    pub fn trust(&mut self, path: &Path) -> Result<(), TlsFileError> {
        let pem = read(path)?;
        self.authorities = Some(Authorities::from_pem(pem.expose_secret())?);
        Ok(())
    }

    /// Makes the relay known by this certificate.
    ///
    /// # Errors
    /// Which file is wrong, and what is.
    pub fn identify(&mut self, certificate: &Path, key: &Path) -> Result<(), IdentityError> {
        let of = |path: &Path, error: TlsFileError| IdentityError { path: path.to_owned(), error };
        let chain = read(certificate).map_err(|error| of(certificate, error.into()))?;
        let secret = read(key).map_err(|error| of(key, error.into()))?;
        let identity = Identity::from_pem(chain.expose_secret(), secret.expose_secret());
        let wrong = |(culprit, error): (Culprit, PemError)| of(if culprit == Culprit::Key { key } else { certificate }, error.into());
        self.identity = Some(identity.map_err(wrong)?);
        Ok(())
    }
}

/// Why a file of certificates or of a key cannot be used, as what follows its name.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unread(#[from] Unread),
    /// It was read, and holds something else.
    #[error("{0}")]
    Content(#[from] PemError),
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The system does not let it be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A folder, a pipe, a device.
    #[error("it is no file")]
    NoFile,
    /// No file of certificates is so large.
    #[error("it is larger than {} KiB", FILE_BYTES_MAX / 1024)]
    TooLarge,
}

/// Why the relay cannot be made known by a certificate and a key.
#[derive(Debug, thiserror::Error)]
#[error("`{}` {error}", .path.display())]
pub struct IdentityError {
    /// The file that is to blame.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub error: TlsFileError,
}

#[derive(Clone, Debug)]
struct PemFile {
    path: PathBuf,
    content: SecretSlice<u8>,
}

/// `tls`; without a key, the system's authorities and no certificate.
pub(in crate::config) fn decode(decoder: &mut Decoder<'_>, node: &Node) -> Option<Tls> {
    let mut table = decoder.table(node, "`tls`")?;
    let ca = table.take("ca");
    let cert = table.take("cert");
    let key = table.take("key");
    let misspelt = table.finish(decoder);
    for (one, name, other, other_name) in [(cert, "cert", key, "key"), (key, "key", cert, "cert")] {
        if let (Some(one), None) = (one, other)
            && !misspelt.contains(&other_name)
        {
            let message = format!("`tls` has `{name}` and no `{other_name}`");
            decoder.report.error(one.span.clone(), message).hint("a client certificate needs both");
        }
    }
    let ca_file = ca.map(|node| decode_file(decoder, node, "the authorities' file"));
    let cert_file = cert.map(|node| decode_file(decoder, node, "the certificate's file"));
    let key_file = key.map(|node| decode_file(decoder, node, "the key's file"));

    let mut tls = Tls::default();
    let mut complete = cert.is_some() == key.is_some();
    if let Some((node, file)) = ca.zip(ca_file) {
        match file {
            None => complete = false,
            Some(None) => {}
            Some(Some(file)) => match Authorities::from_pem(file.content.expose_secret()) {
                Ok(authorities) => {
                    tls.authorities = Some(authorities);
                    tls.files.push(file);
                }
                Err(reason) => {
                    report(decoder, node, &reason);
                    complete = false;
                }
            },
        }
    }
    if let (Some((cert, cert_file)), Some((key, key_file))) = (cert.zip(cert_file), key.zip(key_file)) {
        match (cert_file, key_file) {
            (Some(Some(cert_file)), Some(Some(key_file))) => {
                match Identity::from_pem(cert_file.content.expose_secret(), key_file.content.expose_secret()) {
                    Ok(identity) => {
                        tls.identity = Some(identity);
                        tls.files.extend([cert_file, key_file]);
                    }
                    Err((culprit, reason)) => {
                        report(decoder, if culprit == Culprit::Key { key } else { cert }, &reason);
                        complete = false;
                    }
                }
            }
            (Some(_), Some(_)) => {}
            _ => complete = false,
        }
    }
    complete.then_some(tls)
}

fn report(decoder: &mut Decoder<'_>, node: &Node, error: &PemError) {
    let shown = decoder.text(node, "a file").map(|text| quoted(&text.masked())).unwrap_or_default();
    let hint = match error {
        PemError::EncryptedKey => "the relay cannot ask for a passphrase: `openssl pkey -in old.pem -out new.pem`",
        PemError::OtherKey => "`key` must be the private key of the first certificate in `cert`",
        _ => "PEM: text that begins with `-----BEGIN ...-----`",
    };
    decoder.report.error(node.span.clone(), format!("{shown} {error}")).hint(hint);
}

/// A file's content; `None` inside where nothing is sent and the file may be somewhere else.
fn decode_file(decoder: &mut Decoder<'_>, node: &Node, what: &str) -> Option<Option<PemFile>> {
    let text = decoder.text(node, what)?;
    if decoder.is_stood_in_for(&text) {
        return Some(None);
    }
    let path = text.expose();
    let shown = quoted(&text.masked());
    if !path.starts_with('/') {
        let (message, hint) = if path.contains("-----BEGIN") {
            (format!("{what} is given by its path, and this is its content"), "write the file and give its path")
        } else {
            (format!("{shown} is not an absolute path"), "write the whole path: `/etc/wiza-relay/ca.pem`")
        };
        decoder.report.error(node.span.clone(), message).hint(hint);
        return None;
    }
    if decoder.sends_nothing() {
        return Some(None);
    }
    let path = PathBuf::from(path);
    match read(&path) {
        Ok(content) => Some(Some(PemFile { path, content })),
        Err(reason) => {
            let finding = decoder.report.error(node.span.clone(), format!("cannot read {shown}: {reason}"));
            finding.hint("the relay needs the file, readable, when it loads the rules");
            None
        }
    }
}

fn read(path: &Path) -> Result<SecretSlice<u8>, Unread> {
    // Opening a named pipe would wait for a writer, for ever.
    if !std::fs::metadata(path)?.is_file() {
        return Err(Unread::NoFile);
    }
    let mut content = Vec::new();
    let file = File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(Unread::TooLarge);
    }
    Ok(SecretSlice::from(content))
}
