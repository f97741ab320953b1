//! Rate limiters that people put before what the relay delivers to: the real packages, each on a port of its own.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

use super::{eventually, free_address, repository, skipped};

/// A program of `tests/limiters` that runs. It ends when it is dropped.
pub struct Limiter {
    address: SocketAddr,
    process: Child,
}

impl Limiter {
    /// Starts one; `None`, said loudly, where the packages are not there.
    pub async fn start(program: &str) -> Option<Self> {
        let (folder, script) = (repository("target/limiters"), repository(&format!("tests/limiters/{program}")));
        let is_python = program.ends_with(".py");
        let missing = if is_python { "venv/bin/uvicorn" } else { "node_modules/koa-ratelimit" };
        if !folder.join(missing).exists() {
            skipped(&format!("{program} needs packages that are not in target/limiters (tests/run installs them)"));
            return None;
        }
        let address = free_address();
        // Node.js finds packages beside a module, and beside the working directory where the module comes from the input.
        let mut command = if is_python {
            let mut python = Command::new(folder.join("venv/bin/python"));
            python.arg(&script);
            python
        } else {
            let mut node = Command::new("node");
            node.args(["--input-type=module", "-"]).stdin(File::open(&script).unwrap());
            node
        };
        let process = command.arg(address.port().to_string()).current_dir(&folder).stdout(Stdio::null()).spawn().unwrap();
        let mut limiter = Self { address, process };
        eventually(&format!("{program} listens"), async || {
            if let Some(status) = limiter.process.try_wait().unwrap() {
                panic!("{program} ended: {status}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            TcpStream::connect(address).await.ok()
        })
        .await;
        Some(limiter)
    }

    /// Where it takes events.
    pub fn url(&self) -> String {
        format!("http://{}/crm", self.address)
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
