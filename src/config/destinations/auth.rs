//! `auth` and `sign` of a destination: how the relay shows who it is.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use url::Url;

use crate::oauth2::{ClientAuth, ClientCredentials};
use crate::signature::{SECRET_PREFIX, SigningKey};
use crate::transform;

use super::shape::optional;
use crate::config::findings::finding::quoted;
use crate::config::reading::decode::{Decoder, Table, listed};
use crate::config::reading::units::Unreadable;
use crate::config::yaml::Node;
use crate::text::Secret;

/// How the relay shows a destination who it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Auth {
    /// The value of `authorization`, marked sensitive (RFC 7617).
    Basic(HeaderValue),
    /// A token of a token server's.
    OAuth2(Arc<ClientCredentials>),
}

/// Secrets that a request is signed with at the same time. A rotation has two.
pub(in crate::config) const SIGNING_SECRETS_MAX: usize = 8;
/// For a request signed with a secret in the place of one that is not there: see `Missing::IsStoodInFor`.
const STAND_IN_KEY: &str = "c3RhbmQtaW4gZm9yIGEgc2lnbmluZyBrZXkh";
const KINDS: &str = "`basic: {username, password}` or `oauth2: {token_url, client_id, client_secret}`";

/// `auth`; `None` inside: there is none.
pub(in crate::config) fn decode(decoder: &mut Decoder<'_>, node: &Node) -> Option<Option<Auth>> {
    if node.is_null() {
        return Some(None); // Takes back what `defaults` say.
    }
    let mut table = decoder.table(node, "`auth`")?;
    let basic = table.take("basic");
    let oauth2 = table.take("oauth2");
    let misspelt = table.finish(decoder);
    match (basic, oauth2) {
        (Some(_), Some(second)) => {
            decoder.report.error(second.span.clone(), "`auth` has both `basic` and `oauth2`").hint("a request has one `authorization`");
            None
        }
        (Some(basic), None) => decode_basic(decoder, basic).map(Auth::Basic).map(Some),
        (None, Some(oauth2)) => decode_oauth2(decoder, oauth2).map(Arc::new).map(Auth::OAuth2).map(Some),
        (None, None) => {
            if misspelt.is_empty() {
                decoder.report.error(node.span.clone(), "`auth` has neither `basic` nor `oauth2`").hint(KINDS);
            }
            None
        }
    }
}

fn decode_basic(decoder: &mut Decoder<'_>, node: &Node) -> Option<HeaderValue> {
    let mut table = decoder.table(node, "`basic`")?;
    let username = table.take("username");
    let password = table.take("password");
    let misspelt = table.finish(decoder);
    require(decoder, node, "`basic`", &misspelt, &[("username", username.is_some()), ("password", password.is_some())]);
    let username_node = username;
    let username = username.and_then(|node| decoder.text(node, "a username"));
    let password = password.and_then(|node| decoder.secret(node, "password", "a password"));
    let (username, password) = (username?, password?);
    let name = username.expose();
    // A value that something stands in for is an URL, which has a colon.
    if let Some(node) = username_node
        && name.contains(':')
        && !decoder.is_stood_in_for(&username)
    {
        let message = format!("{} has a colon, and the password begins behind the first", quoted(&username.masked()));
        decoder.report.error(node.span.clone(), message).hint("HTTP Basic has no way to write such a username (RFC 7617)");
        return None;
    }
    let encoded = STANDARD.encode(format!("{name}:{}", password.expose()));
    decoder.secrets.add(&Secret::new(password.name.as_str(), encoded.as_str()));
    let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn decode_oauth2(decoder: &mut Decoder<'_>, node: &Node) -> Option<ClientCredentials> {
    let mut table = decoder.table(node, "`oauth2`")?;
    let token_url = table.take("token_url");
    let client_id = table.take("client_id");
    let client_secret = table.take("client_secret");
    let scope = table.take("scope");
    let client_auth = table.take("client_auth");
    let misspelt = table.finish(decoder);
    let needed = [("token_url", token_url.is_some()), ("client_id", client_id.is_some()), ("client_secret", client_secret.is_some())];
    require(decoder, node, "`oauth2`", &misspelt, &needed);
    let token_url = token_url.and_then(|node| {
        let text = decoder.url_text(node)?;
        let url = decoder.read_text(node, &text, TOKEN_URL, None, token_url_from)?;
        decoder.refuse_closed_host(node, url.host_str()?, url.port_or_known_default()?)?;
        Some(url)
    });
    let client_id = client_id.and_then(|node| {
        let text = decoder.text(node, "a client's id")?;
        let name = text.first_value().map_or("client_id", |value| value.name.as_str());
        Some(Secret::new(name, text.expose()))
    });
    let client_secret = client_secret.and_then(|node| decoder.secret(node, "client_secret", "a client's secret"));
    let scope = scope.filter(|node| !node.is_null()).map(|node| decoder.text(node, "a scope").map(|text| text.expose()));
    let client_auth = client_auth.map(|node| {
        decoder.read(node, "`basic` or `body`", |text| match text {
            "basic" => Ok(ClientAuth::Basic),
            "body" => Ok(ClientAuth::Body),
            _ => Err(Unreadable {
                reason: "is not a way to send the client's secret".into(),
                hint: "`basic`: in the `authorization` header; `body`: in the body".into(),
            }),
        })
    });
    let credentials = ClientCredentials {
        token_url: token_url?,
        client_id: client_id?,
        client_secret: client_secret?,
        scope: optional(scope)?,
        client_auth: optional(client_auth)?.unwrap_or_default(),
    };
    decoder.secrets.add(&Secret::new(credentials.client_secret.name.as_str(), credentials.basic()));
    Some(credentials)
}

/// What a token URL is, for a hint that quotes no value.
const TOKEN_URL: &str = "a URL with scheme and host, and without user and password: the client is named by `client_id` and `client_secret`";

fn token_url_from(text: &str) -> Result<Url, Unreadable> {
    let unreadable = |reason: &str, hint: &str| Unreadable { reason: reason.into(), hint: hint.into() };
    let example = "for example `https://login.example.com/oauth2/token`";
    Url::parse(text).map_err(|_| unreadable("is not a URL", example))?;
    let url = transform::as_written(text).map_err(|_| unreadable("is not the URL of a token server", example))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(unreadable(
            "holds a username",
            "take user and password out of it: the client is named by `client_id` and `client_secret`",
        ));
    }
    Ok(url)
}

/// `sign`: the secrets; none where requests are not signed.
pub(in crate::config) fn decode_sign(decoder: &mut Decoder<'_>, node: &Node) -> Option<Vec<SigningKey>> {
    if node.is_null() {
        return Some(Vec::new());
    }
    let mut table: Table<'_> = decoder.table(node, "`sign`")?;
    let secret = table.take("secret");
    let secrets = table.take("secrets");
    let misspelt = table.finish(decoder);
    let nodes = match (secret, secrets) {
        (Some(_), Some(second)) => {
            decoder.report.error(second.span.clone(), "`sign` has both `secret` and `secrets`").hint("put all of them under `secrets`");
            return None;
        }
        (Some(one), None) => std::slice::from_ref(one),
        (None, Some(list)) => {
            let items = decoder.list(list, "secrets")?;
            if items.is_empty() || items.len() > SIGNING_SECRETS_MAX {
                let count = items.len();
                decoder.report.error(list.span.clone(), format!("there are {count} secrets")).hint(format!("1 to {SIGNING_SECRETS_MAX}"));
                return None;
            }
            items
        }
        (None, None) => {
            if misspelt.is_empty() {
                let finding = decoder.report.error(node.span.clone(), "`sign` has no `secret`");
                finding.hint("`sign: { secret: ${SIGNING_SECRET} }`; during a rotation `secrets: [${NEW}, ${OLD}]`");
            }
            return None;
        }
    };
    let keys: Vec<_> = nodes.iter().map(|node| decode_key(decoder, node)).collect();
    keys.into_iter().collect()
}

fn decode_key(decoder: &mut Decoder<'_>, node: &Node) -> Option<SigningKey> {
    let text = decoder.text(node, "a signing secret")?;
    if decoder.is_stood_in_for(&text) {
        return SigningKey::parse(STAND_IN_KEY).ok();
    }
    let name = text.first_value().map_or("sign", |value| value.name.as_str());
    let secret = Secret::new(name, text.expose());
    decoder.secrets.add(&secret);
    if let Some(key) = secret.expose().strip_prefix(SECRET_PREFIX) {
        // Libraries of Standard Webhooks take the prefix off, so a receiver may show the secret without it.
        decoder.secrets.add(&Secret::new(name, key));
    }
    match SigningKey::parse(secret.expose()) {
        Ok(key) => Some(key),
        Err(reason) => {
            let shown = match text.first_value() {
                Some(_) => quoted(&text.masked()),
                None => "the secret".to_owned(),
            };
            decoder
                .report
                .error(node.span.clone(), format!("{shown} {reason}"))
                .hint("make one with `echo whsec_$(openssl rand -base64 32)`");
            None
        }
    }
}

/// Reports those keys of a mapping that are missing, all at once.
fn require(decoder: &mut Decoder<'_>, node: &Node, of: &str, misspelt: &[&str], keys: &[(&'static str, bool)]) {
    let missing: Vec<&str> = keys.iter().filter(|(key, there)| !there && !misspelt.contains(key)).map(|(key, _)| *key).collect();
    if !missing.is_empty() {
        let all: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
        decoder.report.error(node.span.clone(), format!("{of} has no {}", listed(&missing))).hint(format!("it needs {}", listed(&all)));
    }
}

impl Decoder<'_> {
    /// A value that is shown nowhere, be it written out or not; where there is no `${NAME}` to show, `key` is.
    fn secret(&mut self, node: &Node, key: &str, what: &str) -> Option<Secret> {
        let text = self.text(node, what)?;
        let secret = Secret::new(text.first_value().map_or(key, |value| value.name.as_str()), text.expose());
        if secret.expose().is_empty() {
            let shown = text.first_value().map_or_else(|| format!("`{key}`"), |value| quoted(&value.to_string()));
            self.report.error(node.span.clone(), format!("{shown} is empty")).hint(format!("expected {what}"));
            return None;
        }
        if text.first_value().is_none() {
            self.report.cover(node.span.clone());
        }
        self.secrets.add(&secret);
        Some(secret)
    }
}
