//! Limits of templates, each known to whoever holds them and to whoever puts them into words.

/// The work that one rendering may cost: an instruction costs 1, as do 64 bytes of text made or 4 bytes of JSON.
pub const TEMPLATE_FUEL_MAX: u64 = 500_000;
/// The longest text that a template may render to, in bytes.
pub const RENDERED_BYTES_MAX: usize = 1024 * 1024;
/// The same for the body of a batch, which may print each of a thousand members: JSON of 16 MB.
pub const BATCH_FUEL_MAX: u64 = 4_000_000;
/// The longest text that the template of a batch's body may render to, in bytes: four times the payloads that gather.
pub const BATCH_TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest text with tags that is compiled, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 64 * 1024;
/// How deep loops, macros and other blocks may nest while rendering.
pub const TEMPLATE_DEPTH_MAX: usize = 100;
