//! The values of labels that are no names of the file.

/// Every value of `webhooks_total{outcome}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// New and stored.
    Accepted,
    /// Seen before.
    Duplicate,
    /// Key missing or wrong.
    Unauthorized,
    /// Too many wrong keys from the address.
    Limited,
    /// Authentic, but no JSON object, or not readable as HTTP.
    Invalid,
    /// Body over the limit.
    TooLarge,
    /// Headers or body took too long.
    Timeout,
    /// The store could not take it.
    Unavailable,
}

impl WebhookOutcome {
    pub(super) const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Duplicate,
        Self::Unauthorized,
        Self::Limited,
        Self::Invalid,
        Self::TooLarge,
        Self::Timeout,
        Self::Unavailable,
    ];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Unauthorized => "unauthorized",
            Self::Limited => "limited",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The label of keys that have no name.
pub const NAMELESS_ACCOUNT: &str = "(no name)";

/// Every value of `admin_refused_total{reason}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminRefusal {
    /// No token was shown, or several.
    NoToken,
    /// A token that is none of the relay's.
    WrongToken,
    /// The same, after too many from one address.
    Limited,
    /// The viewer token, for something that changes something.
    Viewer,
    /// Without a token, something that does not come from this machine, or with one, from another site's page.
    Foreign,
    /// The port listens beyond this machine, and there is no token.
    Closed,
}

impl AdminRefusal {
    pub(super) const ALL: [Self; 6] = [Self::NoToken, Self::WrongToken, Self::Limited, Self::Viewer, Self::Foreign, Self::Closed];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::WrongToken => "wrong_token",
            Self::Limited => "limited",
            Self::Viewer => "viewer",
            Self::Foreign => "foreign",
            Self::Closed => "closed",
        }
    }
}

/// Every value of `connections_closed_total{port}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// Where webhooks come in.
    Webhooks,
    /// Where metrics, health and the API are.
    Admin,
}

impl Port {
    pub(super) const ALL: [Self; 2] = [Self::Webhooks, Self::Admin];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Webhooks => "webhooks",
            Self::Admin => "admin",
        }
    }
}

/// Every value of `connections_closed_total{reason}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedFor {
    /// It said nothing.
    Silent,
    /// Its request's headers took too long.
    SlowHeaders,
    /// It was idle, and all connections were taken.
    Crowded,
}

impl ClosedFor {
    pub(super) const ALL: [Self; 3] = [Self::Silent, Self::SlowHeaders, Self::Crowded];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::SlowHeaders => "slow_headers",
            Self::Crowded => "crowded",
        }
    }
}

/// Every value of `spans_total{outcome}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanOutcome {
    /// The collector took it.
    Exported,
    /// The collector did not take it, and it is lost.
    Failed,
    /// Too many waited already, and it is lost.
    Dropped,
}

impl SpanOutcome {
    pub(super) const ALL: [Self; 3] = [Self::Exported, Self::Failed, Self::Dropped];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// Every value of `own_events_total{outcome}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnEventOutcome {
    /// A route asks for it, so it was stored.
    Stored,
    /// No route does.
    Unwanted,
    /// Too many waited for a store that takes nothing, and it is lost.
    Dropped,
}

impl OwnEventOutcome {
    pub(super) const ALL: [Self; 3] = [Self::Stored, Self::Unwanted, Self::Dropped];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Unwanted => "unwanted",
            Self::Dropped => "dropped",
        }
    }
}
