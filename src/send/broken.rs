//! A request that got no answer because its connection ended: whether it may be repeated at once on another, and what is said of it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use h2::Reason;
use humantime::format_duration;

use super::failure::Failure;
use super::words::{Trusting, h2_error, hyper_failure};

/// Why there was no answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// The request has no form that can be sent.
    Unsendable(Failure),
    Http1 {
        error: hyper::Error,
        /// Not a byte of an answer had come.
        nothing_came: bool,
        fate: Arc<OnceLock<hyper::Error>>,
    },
    Http2 {
        error: hyper::Error,
        /// The connection had carried requests before.
        is_used: bool,
        /// How long the server may be silent.
        silence_max: Duration,
        fate: Arc<OnceLock<hyper::Error>>,
    },
}

impl Broken {
    /// Whether the end says nothing about this request, so that it may be made again on another connection: the connection
    /// `was_used` before and ended before anything of an answer, as an idle one does that its server closes, or the server says that
    /// it did not look at the request.
    pub fn is_repeatable(&self, was_used: bool) -> bool {
        match self {
            Self::Unsendable(_) => false,
            Self::Http1 { error, nothing_came, .. } => was_used && *nothing_came && !error.is_user(),
            Self::Http2 { error, is_used, .. } => match h2_error(error) {
                Some(error) if error.is_reset() => error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM),
                Some(error) if error.is_go_away() => error.is_remote() && (*is_used || error.reason() == Some(Reason::NO_ERROR)),
                _ => *is_used && !error.is_user(),
            },
        }
    }

    /// Whether nothing more can go over the connection. A request that was broken off leaves it as it was.
    pub fn ends_connection(&self) -> bool {
        match self {
            Self::Unsendable(_) => false,
            Self::Http1 { .. } => true,
            Self::Http2 { error, .. } => !h2_error(error).is_some_and(h2::Error::is_reset),
        }
    }

    /// For the operator.
    pub fn into_failure(self, trusting: Trusting) -> Failure {
        match self {
            Self::Unsendable(failure) => failure,
            Self::Http2 { error, silence_max, fate, .. } if error.is_timeout() || fate.get().is_some_and(hyper::Error::is_timeout) => {
                let silence = format_duration(silence_max);
                Failure::connection(format!("the server sent nothing for {silence}, and did not answer a PING of HTTP/2"))
            }
            Self::Http1 { error, fate, .. } | Self::Http2 { error, fate, .. } => {
                let came_too_late = error.is_canceled() || error.is_closed();
                hyper_failure(if came_too_late { fate.get().unwrap_or(&error) } else { &error }, trusting)
            }
        }
    }
}
