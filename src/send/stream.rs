//! What the bytes of a connection go over: TCP, TLS over it, or a tunnel through a proxy.

use tokio::io::{AsyncRead, AsyncWrite};

/// Any of them.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
