//! A machine of a test's own: a real systemd that starts what it is told to.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use super::{PATIENCE, PAUSE, Ran, eventually, skipped};

/// systemd as process 1 of namespaces of its own; all of it ends when it is dropped. `/repository` is this repository
/// and `/release` the folder of the relay's binary, both read-only; what is written anywhere else is seen only inside.
pub struct Machine {
    outside: Child,
    /// Its process 1, as seen from here.
    init: u32,
    folder: TempDir,
}

impl Machine {
    /// Boots it. Where that cannot be done, says loudly that the test cannot run, and gives `None`.
    pub async fn boot() -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/relay/harness/machine.sh");
        let folder = tempfile::Builder::new().prefix("wiza-relay-machine-").tempdir().unwrap();
        let log = File::create(log_file(folder.path())).unwrap();
        std::fs::create_dir(folder.path().join("mount")).unwrap();
        let outside = Command::new(script)
            .arg(folder.path().join("mount"))
            .args([env!("CARGO_BIN_EXE_wiza-relay"), env!("CARGO_MANIFEST_DIR")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut machine = Self { outside, init: 0, folder };
        let booted = eventually("systemd has started", async || {
            if machine.outside.try_wait().unwrap().is_some() {
                return Some(false);
            }
            let children = format!("/proc/{0}/task/{0}/children", machine.outside.id());
            machine.init = std::fs::read_to_string(children).ok()?.split_whitespace().next()?.parse().ok()?;
            // Before the root is changed, the commands there are this machine's own.
            let is_systemd = std::fs::read_to_string(format!("/proc/{}/comm", machine.init)).ok()? == "systemd\n";
            (is_systemd && machine.run("systemctl is-system-running").await.output == "running\n").then_some(true)
        })
        .await;
        if !booted {
            skipped(&format!("systemd cannot be booted in namespaces here (it takes root): {}", machine.console()));
            return None;
        }
        Some(machine)
    }

    /// Runs a script of the shell inside, in `/repository`; it ends at the first command that fails.
    pub async fn run(&self, script: &str) -> Ran {
        self.run_with_input(script, "").await
    }

    /// The same, with something to read.
    pub async fn run_with_input(&self, script: &str, input: &str) -> Ran {
        let mut command = self.command(script);
        let (script, input) = (script.to_owned(), input.to_owned());
        tokio::task::spawn_blocking(move || {
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            // Whoever does not read has closed it.
            let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            let ran = child.wait_with_output().unwrap_or_else(|error| panic!("{script}: {error}"));
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            Ran { code: ran.status.code(), output: text(&ran.stdout), error: text(&ran.stderr) }
        })
        .await
        .unwrap()
    }

    /// Runs a script that has to succeed, and gives what it prints.
    pub async fn succeed(&self, script: &str) -> String {
        let ran = self.run(script).await;
        assert_eq!(ran.code, Some(0), "{script}\n{ran:?}");
        ran.output
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string(), "--mount", "--pid", "--uts", "--ipc", "--cgroup"]);
        command.args(["sh", "-e", "-c", &format!("cd /repository\n{script}")]);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// What systemd said while it started.
    fn console(&self) -> String {
        std::fs::read_to_string(log_file(self.folder.path())).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let journal = self.command("journalctl --no-pager").output().map(|ran| ran.stdout).unwrap_or_default();
            eprintln!("--- the machine\n{}{}---", self.console(), String::from_utf8_lossy(&journal));
        }
        // Process 1 ends with it, and with process 1 everything else in its namespace.
        let _ = self.outside.kill();
        let _ = self.outside.wait();
        let started = Instant::now();
        while self.init != 0 && Path::new(&format!("/proc/{}", self.init)).exists() && started.elapsed() < PATIENCE {
            std::thread::sleep(PAUSE);
        }
        remove_cgroup(&format!("wiza-relay-test-{}", self.outside.id()));
    }
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("console.log")
}

/// Removes the cgroup that the script made, with those that systemd made below it.
fn remove_cgroup(name: &str) {
    let script = format!(
        "hierarchy=$(mktemp -d) && mount -t cgroup2 cgroup2 $hierarchy && \
         find $hierarchy/{name} -depth -type d -exec rmdir {{}} + ; \
         umount $hierarchy && rmdir $hierarchy"
    );
    let _ = Command::new("sh").args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null()).status();
}
