//! A relay (or a floor) as a process of its own, and what the kernel says of it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A child process that is killed when it goes out of scope.
pub struct Process {
    child: Child,
    pub webhooks: SocketAddr,
    pub admin: SocketAddr,
    /// From the start to the first successful readiness probe.
    pub ready_after: Duration,
}

/// The relay that is measured.
pub fn relay(config: &Path, store: &Path) -> Process {
    let (webhooks, admin) = (free_address(), free_address());
    let mut command = Command::new(env!("CARGO_BIN_EXE_wiza-relay"));
    command
        .arg("serve")
        .args(["--config", &config.display().to_string()])
        .args(["--store", &store.display().to_string()])
        .args(["--listen", &webhooks.to_string()])
        .args(["--admin", &admin.to_string()])
        .args(["--log", &std::env::var("BENCH_LOG").unwrap_or_else(|_| "error".to_owned())]);
    Process::start(command, webhooks, admin)
}

/// This very program in another role.
pub fn role(name: &str) -> Process {
    let (webhooks, admin) = (free_address(), free_address());
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command.env("BENCH_ROLE", name).env("BENCH_ADDRESS", webhooks.to_string()).env("BENCH_ADMIN", admin.to_string());
    Process::start(command, webhooks, admin)
}

impl Process {
    fn start(mut command: Command, webhooks: SocketAddr, admin: SocketAddr) -> Self {
        let clock = Instant::now();
        let child = command.stdin(Stdio::null()).stderr(Stdio::from(log_file())).spawn().expect("start a process");
        let mut process = Self { child, webhooks, admin, ready_after: Duration::ZERO };
        while !process.is_ready() {
            if let Some(status) = process.child.try_wait().expect("ask for the process") {
                panic!("the process ended at once: {status}; see {}", log_path().display());
            }
            assert!(clock.elapsed() < Duration::from_secs(120), "not ready after two minutes");
            std::thread::sleep(Duration::from_millis(2));
        }
        process.ready_after = clock.elapsed();
        process
    }

    fn is_ready(&self) -> bool {
        super::http::get(self.admin, "/readyz").is_some_and(|reply| reply.starts_with("HTTP/1.1 200"))
    }

    /// Processor time so far, of all threads, user and system.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("/proc");
        // The command's name may hold anything, so count fields from behind it.
        let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
        Duration::from_millis(ticks * 10) // USER_HZ is 100 on Linux.
    }

    /// Resident memory in KiB: now, and the most there ever was.
    pub fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("/proc");
        let of = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
            line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    /// The sum of a metric's series whose line contains `part`.
    pub fn metric(&self, name: &str, part: &str) -> f64 {
        let text = super::http::get(self.admin, "/metrics").unwrap_or_default();
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(part));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.trim().parse::<f64>().ok()).sum()
    }

    /// Ends it as a crash does.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

fn log_path() -> PathBuf {
    std::env::temp_dir().join(format!("wiza-relay-bench-{}.log", std::process::id()))
}

fn log_file() -> std::fs::File {
    std::fs::OpenOptions::new().create(true).append(true).open(log_path()).expect("a log file")
}
