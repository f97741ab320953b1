//! The only place that knows core dumps: a dump holds what was in memory, people's addresses and secrets, and lies on a disk for years.

#[cfg(target_os = "linux")]
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Makes this process leave no core dump when it crashes.
///
/// The limit alone is not enough: the kernel ignores a limit of 0 where it hands dumps to a program (`|` in `core_pattern`), as
/// systemd-coredump and apport have it. A process that is not dumpable leaves none there either, and other programs of the same user can
/// neither attach to it nor read its memory and its environment.
///
/// # Errors
/// What the kernel refused.
pub fn forbid() -> Result<(), String> {
    #[cfg(target_os = "linux")]
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| format!("core dumps cannot be forbidden: {error}"))?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // The unit that is shipped forbids to set limits, and has set this one.
    if getrlimit(Resource::Core) != none {
        setrlimit(Resource::Core, none).map_err(|error| format!("the limit of core dumps cannot be set: {error}"))?;
    }
    Ok(())
}
