//! Faults of the disk and of the clock, injected into the real binary by a library that is loaded before all others.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use tempfile::TempDir;

use super::command::is_static;
use super::skipped;

/// What is to go wrong in a relay that was started with it. Nothing at first; changes take effect at once.
#[derive(Clone)]
pub struct Faults {
    folder: Arc<TempDir>,
    library: &'static Path,
}

impl Faults {
    /// `None`, said loudly, where the library cannot be made.
    pub fn new() -> Option<Self> {
        if is_static() {
            // Never a failure: the tests run with a binary for which it works, too.
            println!("SKIPPED: faults are injected by a library, and a static binary loads none");
            return None;
        }
        static LIBRARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        match LIBRARY.get_or_init(compile) {
            Ok(library) => {
                let folder = tempfile::Builder::new().prefix("wiza-relay-faults-").tempdir().unwrap();
                Some(Self { folder: Arc::new(folder), library })
            }
            Err(why) => {
                skipped(why);
                None
            }
        }
    }

    /// From now on these rules are in force: `preload/faults.c` says how they are written.
    pub fn inject(&self, rules: &str) {
        // Whole at once, so that nobody reads half a rule.
        let next = self.folder.path().join("next");
        std::fs::write(&next, rules).unwrap();
        std::fs::rename(next, self.rules()).unwrap();
    }

    /// Nothing goes wrong any more.
    pub fn clear(&self) {
        let _ = std::fs::remove_file(self.rules());
    }

    pub(super) fn environment(&self) -> [(String, String); 2] {
        let text = |path: &Path| path.display().to_string();
        [("LD_PRELOAD".to_owned(), text(self.library)), ("FAULTS".to_owned(), text(&self.rules()))]
    }

    fn rules(&self) -> PathBuf {
        self.folder.path().join("rules")
    }
}

fn compile() -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/relay/harness/preload/faults.c");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{}.so", std::process::id()));
    let ran = Command::new("cc")
        .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .output()
        .map_err(|error| format!("faults of the disk need a C compiler, and cc does not run: {error}"))?;
    if ran.status.success() {
        return Ok(library);
    }
    let why = String::from_utf8_lossy(&ran.stderr).into_owned();
    // Where the compiler is there and the system another one, the faults cannot be had; here they must.
    if cfg!(target_os = "linux") {
        panic!("{why}");
    }
    Err(format!("faults of the disk need Linux: {why}"))
}
