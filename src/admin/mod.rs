//! The admin port: metrics and health, which everybody may see; and the API and reload, which show personal data and
//! change things, and which [`Guard`] keeps.

mod api;
mod guard;
mod probes;
mod problem;
mod reload;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::routing::post;
use tokio_util::sync::CancellationToken;

use self::api::Api;
use crate::metrics::Metrics;
use crate::rules::{CurrentRules, CurrentStatus};
use crate::store::{Records, Store};

pub use api::{Counted, DestinationState, RedriveAnswer, RedriveFilter, RedriveRequest, ReleaseAnswer};
pub use guard::{AdminToken, Guard};
pub use probes::Probes;
pub use reload::{Reload, Reloaded};

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
    pub token: Option<AdminToken>,
    /// Where the port listens: on loopback no token is needed.
    pub address: SocketAddr,
    /// Cancelled while the relay stops.
    pub draining: CancellationToken,
}

impl Admin {
    /// The admin port's handler.
    pub fn router(self) -> Router {
        let Self { store, metrics, rules, rules_status, reload, token, address, draining } = self;
        let guard = Arc::new(Guard::new(token, address));
        let reloading = Router::new()
            .route("/-/reload", post(|State(reload): State<Reload>| async move { reload::answer(reload().await) }))
            .with_state(reload);
        let kept = api::router(Api { store: Arc::clone(&store), rules, metrics: Arc::clone(&metrics), draining: draining.clone() })
            .merge(reloading)
            .layer(middleware::from_fn_with_state(guard, guard::check));
        let store: Arc<dyn Store> = store;
        Probes { store, metrics, rules: rules_status, draining }.router().merge(kept)
    }
}
