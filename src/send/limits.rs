//! How much of a reply's head is read. What has more is a failed attempt, whose words name the limit.

/// Headers of a reply at most. No server is known that sends a hundred.
pub(super) const REPLY_HEADERS_MAX: usize = 256;
/// The head of a reply at most, in bytes.
pub(super) const REPLY_HEAD_BYTES_MAX: u32 = 256 * 1024;
