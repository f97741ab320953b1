//! How a destination's requests show who sends them, and whom they trust: `sign`, `auth`, `tls`.

use serde_json::json;

use crate::config::destinations::auth::SIGNING_SECRETS_MAX;

use super::kind::{self, Schema, object};

/// One secret, or during a rotation several.
pub(super) fn sign() -> Schema {
    let secret = || kind::text().says("`whsec_` and the base64 of 24 to 64 bytes: `echo whsec_$(openssl rand -base64 32)`.");
    let secrets = Schema::of_type(["array"])
        .says("During a rotation: one signature each.")
        .with("minItems", json!(1))
        .with("maxItems", json!(SIGNING_SECRETS_MAX))
        .with("items", secret().into());
    object([("secret", secret()), ("secrets", secrets)])
        .or_nothing()
        .with("minProperties", json!(1))
        .with("maxProperties", json!(1))
        .examples([json!({ "secret": "${SIGNING_SECRET}" }), json!({ "secrets": ["${NEW_SIGNING_SECRET}", "${SIGNING_SECRET}"] })])
}

/// Either of two.
pub(super) fn auth() -> Schema {
    let basic = object([
        ("username", kind::text().says("Without a colon.").with("pattern", json!(r"^[^:]*$|\$\{"))),
        ("password", kind::text().says("Its password.").with("minLength", json!(1))),
    ]);
    let oauth2 = object([
        ("token_url", kind::text_like(r"\s*[hH][tT][tT][pP][sS]?:[\s\S]*").says("Where tokens are asked for.")),
        ("client_id", kind::text().says("The client's name.")),
        ("client_secret", kind::text().says("The client's secret.").with("minLength", json!(1))),
        ("scope", kind::text().or_nothing().says("What the token is for.")),
        (
            "client_auth",
            kind::one_of(&["basic", "body"]).says("How the client's secret is sent: in a header, or in the body.").default("basic"),
        ),
    ]);
    object([
        ("basic", basic.needs(["username", "password"]).says("HTTP Basic (RFC 7617).")),
        ("oauth2", oauth2.needs(["token_url", "client_id", "client_secret"]).says("A token by client credentials (RFC 6749, 4.4).")),
    ])
    .or_nothing()
    .with("minProperties", json!(1))
    .with("maxProperties", json!(1))
}

/// Files in PEM.
pub(super) fn tls() -> Schema {
    let file = || kind::text_like(r"/[\s\S]*");
    object([
        ("ca", file().says("A file of authorities, in place of the system's.")),
        ("cert", file().says("A file of the relay's own certificate, for destinations that ask for one.")),
        ("key", file().says("A file of the certificate's private key, not encrypted.")),
    ])
    .or_nothing()
    .with("dependentRequired", json!({ "cert": ["key"], "key": ["cert"] }))
}
