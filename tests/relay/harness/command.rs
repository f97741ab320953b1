//! Running a command of the binary to its end.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::{PATIENCE, skipped};

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub output: String,
    pub error: String,
}

impl Ran {
    /// Makes sure that it ended with this code and that standard error has each of these texts.
    #[track_caller]
    pub fn assert_refused(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for text in texts {
            assert!(self.error.contains(text), "`{text}` is not in\n{}", self.error);
        }
        assert!(!self.error.contains("panicked"), "{}", self.error);
    }
}

/// The binary under test: the one that was compiled with the tests, or the one that `WIZA_RELAY_TEST_BINARY` names.
pub fn binary() -> PathBuf {
    std::env::var_os("WIZA_RELAY_TEST_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_wiza-relay").into(), PathBuf::from)
}

/// Whether the binary under test loads no library, so none that injects faults.
pub(super) fn is_static() -> bool {
    let names_a_loader = |binary: Vec<u8>| memchr::memmem::find(&binary, b"/ld-linux").is_some();
    cfg!(target_os = "linux") && !names_a_loader(std::fs::read(binary()).unwrap())
}

/// The binary, in an environment with nothing of the relay's in it.
pub fn relay() -> Command {
    confined(Command::new(binary()))
}

/// The same, with these limits of open files.
pub(super) fn relay_with_open_files(soft: u32, hard: u32) -> Command {
    let mut shell = confined(Command::new("sh"));
    shell.arg("-c").arg(format!(r#"ulimit -S -n {soft} && ulimit -H -n {hard} && exec "$0" "$@""#)).arg(binary());
    shell
}

/// Whether a relay may have a hosts file of its own; says loudly where not.
pub fn may_have_own_hosts() -> bool {
    let may = Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
    if !may {
        skipped("this process may not have mounts of its own, so no name can be moved");
    }
    may
}

/// The same, in mounts of its own, where this file stands in place of /etc/hosts.
pub(super) fn relay_with_hosts(hosts: &Path) -> Command {
    let mut unshare = confined(Command::new("unshare"));
    let script = r#"mount --bind "$1" /etc/hosts; shift; exec "$@""#;
    unshare.args(["--mount", "--propagation", "private", "sh", "-euc", script, "sh"]).arg(hosts).arg(binary());
    unshare
}

/// The binary, run by a user who owns nothing, so that nothing is allowed only because the tests run as root. `None` where the user cannot
/// be changed, or cannot reach the binary.
pub fn relay_as_nobody() -> Option<Command> {
    let as_nobody = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(binary());
        confined(command)
    };
    as_nobody().arg("--version").output().is_ok_and(|ran| ran.status.success()).then(as_nobody)
}

fn confined(mut command: Command) -> Command {
    command.env_clear();
    for name in ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
}

/// Runs it with these arguments.
pub async fn run(arguments: &[&str]) -> Ran {
    run_with(arguments, &[]).await
}

/// Runs it with these arguments and variables.
pub async fn run_with(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = relay();
    command.args(arguments).envs(environment.iter().copied());
    tokio::task::spawn_blocking(move || to_its_end(command)).await.unwrap()
}

/// Runs it as a user who owns nothing; `None` where the user cannot be changed, or cannot reach the binary.
pub async fn run_as_nobody(arguments: &[&str], environment: &[(&str, &str)]) -> Option<Ran> {
    let mut command = relay_as_nobody()?;
    command.args(arguments).envs(environment.iter().copied());
    Some(tokio::task::spawn_blocking(move || to_its_end(command)).await.unwrap())
}

/// What it writes to a terminal of so many columns, as it ends. Without what the terminal adds to its line feeds.
pub async fn run_at_terminal(columns: u16, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = relay();
    command.args(arguments).envs(environment.iter().copied());
    tokio::task::spawn_blocking(move || at_terminal(columns, command)).await.unwrap()
}

fn at_terminal(columns: u16, mut command: Command) -> String {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let theirs = std::fs::OpenOptions::new().write(true).open(ptsname(&ours, Vec::new()).unwrap().to_str().unwrap()).unwrap();
    rustix::termios::tcsetwinsize(&theirs, rustix::termios::Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::from(theirs)).stderr(Stdio::null()).spawn().unwrap();
    // The command has the last of the terminal's other end, so that its end can be seen.
    drop(command);
    let reader = std::thread::spawn(move || {
        let (mut all, mut some) = (Vec::new(), [0; 4096]);
        // A terminal whose other end is closed is read with an error.
        while let Ok(count) = std::fs::File::from(ours.try_clone().unwrap()).read(&mut some) {
            if count == 0 {
                break;
            }
            all.extend_from_slice(&some[..count]);
        }
        String::from_utf8(all).unwrap().replace("\r\n", "\n")
    });
    assert!(child.wait().unwrap().success());
    reader.join().unwrap()
}

/// Waits for its end.
pub(super) fn to_its_end(mut command: Command) -> Ran {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut output, mut error) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read_error = std::thread::spawn(move || {
        let mut text = String::new();
        error.read_to_string(&mut text).unwrap();
        text
    });
    let read_output = std::thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        text
    });
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it does not end: {:?}{:?}", read_output.join().unwrap(), read_error.join().unwrap());
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    Ran { code: status.code(), output: read_output.join().unwrap(), error: read_error.join().unwrap() }
}
