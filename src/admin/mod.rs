//! The admin port: metrics and health, which everybody may see; and the API and reload, which show personal data and
//! change things, and which [`Guard`] keeps.

mod api;
mod guard;
mod probes;
mod problem;
mod reload;
mod token;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router, middleware};
use http::{HeaderValue, header};
use tokio_util::sync::CancellationToken;

use self::api::Api;
use crate::asker::Asker;
use crate::metrics::Metrics;
use crate::rules::{CurrentRules, CurrentStatus};
use crate::store::{Records, Store};

pub use guard::Guard;
pub use probes::{Probes, failure};
pub use reload::{Reload, Reloaded};
pub use token::{AdminToken, Kept, Tokens, both};

/// What the admin port shows and does.
pub struct Admin {
    /// Whose events, health and figures are shown.
    pub store: Arc<dyn Records>,
    /// The relay's metrics.
    pub metrics: Arc<Metrics>,
    /// The rules in effect, by which an event that leaves quarantine is routed.
    pub rules: CurrentRules,
    /// What is known of the rules' file.
    pub rules_status: CurrentStatus,
    /// A way to ask for a reload.
    pub reload: Reload,
    /// What has to be shown by whoever wants more than metrics and health.
    pub tokens: Arc<Tokens>,
    /// Where the port listens: on loopback no token is needed.
    pub address: SocketAddr,
    /// Cancelled while the relay stops.
    pub draining: CancellationToken,
}

impl Admin {
    /// The admin port's handler.
    pub fn router(self) -> Router {
        let Self { store, metrics, rules, rules_status, reload, tokens, address, draining } = self;
        let guard = Arc::new(Guard::new(tokens, address, Arc::clone(&metrics)));
        let reloading = Router::new().route("/-/reload", post(reload_now)).with_state((reload, Arc::clone(&rules_status)));
        let api = Api {
            store: Arc::clone(&store),
            rules,
            rules_status: Arc::clone(&rules_status),
            metrics: Arc::clone(&metrics),
            draining: draining.clone(),
            followers: api::followers(),
        };
        let kept = api::router(api).merge(reloading).layer(middleware::from_fn_with_state(guard, guard::check));
        let store: Arc<dyn Store> = store;
        let probes = Probes { store, metrics, rules: rules_status, draining };
        probes.router().merge(kept).layer(middleware::map_response(for_nobody_else))
    }
}

async fn reload_now(State((reload, status)): State<(Reload, CurrentStatus)>, Extension(asker): Extension<Asker>) -> Response {
    let reloaded = reload(asker).await;
    reload::answer(reloaded, &status.load())
}

/// What the port answers may be personal data: no cache keeps it, and no browser takes it for something else than it is.
async fn for_nobody_else(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
