//! Places at which a test makes the relay panic, to see what becomes of it. In a build for release there are none.

/// Names a folder; where it has a file of a place's name, the next who comes to that place takes the file away and panics.
#[cfg(debug_assertions)]
const FOLDER: &str = "WIZA_RELAY_TEST_PANICS";

/// Panics where a test wants it.
#[cfg(debug_assertions)]
#[allow(clippy::panic, reason = "that is what it is for")]
pub fn point(place: &str) {
    static FAULTS: std::sync::OnceLock<Option<std::path::PathBuf>> = std::sync::OnceLock::new();
    let folder = FAULTS.get_or_init(|| std::env::var_os(FOLDER).map(Into::into));
    if let Some(folder) = folder
        && std::fs::remove_file(folder.join(place)).is_ok()
    {
        panic!("a test wants `{place}` to panic, with a secret: s3cret-of-a-panic");
    }
}

/// Does nothing.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_place: &str) {}
