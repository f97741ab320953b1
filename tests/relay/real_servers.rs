//! HTTP servers that receivers are really made with, each of which closes idle connections after a time of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::{Relay, Setup, eventually, free_address, repository, reveal, skipped};

/// Around the times after which these servers close: gunicorn after 2 s and a bit, uvicorn and hypercorn after 5, Node.js after 6,
/// CherryPy after 10; and around 4 s, after which the relay does.
const GAPS_MS: [u64; 17] = [0, 1990, 2020, 2200, 2390, 2410, 3980, 4020, 4990, 5000, 5010, 5990, 6000, 6010, 9990, 10_000, 10_010];
/// Answers 204, for WSGI and for ASGI.
const APPLICATION: &str = r#"
def wsgi(environ, start_response):
    environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
    start_response('200 OK', [('content-type', 'application/json'), ('content-length', '11')])
    return [b'{"ok":true}']

async def asgi(scope, receive, send):
    if scope['type'] != 'http':
        return
    while (await receive()).get('more_body'):
        pass
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-type', b'application/json'), (b'content-length', b'11')]})
    await send({'type': 'http.response.body', 'body': b'{"ok":true}'})
"#;
const CHERRYPY: &str = "
import sys
sys.path.insert(0, '.')
import app
from cheroot import wsgi
wsgi.Server(('127.0.0.1', int(sys.argv[1])), app.wsgi).start()
";
const NODE: &str = "
require('http').createServer((request, response) => {
  request.resume();
  request.on('end', () => { response.setHeader('content-type', 'application/json'); response.end('{\"ok\":true}'); });
}).listen(Number(process.argv[2]), '127.0.0.1');
";

/// A server in a process of its own, which ends with the test.
struct Server {
    name: &'static str,
    address: SocketAddr,
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        // gunicorn and granian have workers, which a gentle end takes along.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Where `tests/run` puts them.
fn installed() -> PathBuf {
    repository("target/servers/bin")
}

async fn start(name: &'static str, folder: &Path) -> Option<Server> {
    let address = free_address();
    let (bind, port) = (address.to_string(), address.port().to_string());
    let program = if name == "node" { PathBuf::from("node") } else { installed().join(if name == "cherrypy" { "python" } else { name }) };
    let mut command = Command::new(&program);
    match name {
        "gunicorn" => command.args(["--worker-class", "gthread", "--threads", "4", "--bind", &bind, "app:wsgi"]),
        "uvicorn" => command.args(["--host", "127.0.0.1", "--port", &port, "app:asgi"]),
        "hypercorn" => command.args(["--bind", &bind, "app:asgi"]),
        "granian" => command.args(["--interface", "asgi", "--host", "127.0.0.1", "--port", &port, "app:asgi"]),
        "cherrypy" => command.args(["cherry.py", &port]),
        _ => command.args(["node.js", &port]),
    };
    let child = command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(child) = child else {
        skipped(&format!("{} is not installed; `bash tests/run` does it", program.display()));
        return None;
    };
    let mut server = Server { name, address, child };
    eventually(&format!("{name} listens"), async || {
        assert!(server.child.try_wait().unwrap().is_none(), "{name} ended at once");
        tokio::net::TcpStream::connect(address).await.ok()
    })
    .await;
    Some(server)
}

async fn wait_for_all(relay: &Relay, servers: &[Server]) {
    for server in servers {
        relay.wait_for_metric("waiting", &[("destination", server.name)], 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_close_idle_connections_each_in_their_own_time_cost_no_attempt() {
    let folder = tempfile::tempdir().unwrap();
    for (file, content) in [("app.py", APPLICATION), ("cherry.py", CHERRYPY), ("node.js", NODE)] {
        std::fs::write(folder.path().join(file), content).unwrap();
    }
    let mut servers = Vec::new();
    for name in ["gunicorn", "uvicorn", "hypercorn", "granian", "cherrypy", "node"] {
        servers.extend(start(name, folder.path()).await);
    }
    if servers.is_empty() {
        return;
    }
    let names: Vec<&str> = servers.iter().map(|server| server.name).collect();
    let mut routes =
        "defaults: { success: $.ok == true, retry: { attempts: 1 }, circuit: { failures: 1, cooldown: 1h } }\ndestinations:\n".to_owned();
    for server in &servers {
        routes += &format!("  {}: {{ url: 'http://{}/' }}\n", server.name, server.address);
    }
    routes += &format!("routes: [{{ name: all, to: [{}] }}]", names.join(", "));
    let mut relay = Setup::new(routes).start().await;
    for (number, gap) in (0..).zip(GAPS_MS) {
        tokio::time::sleep(Duration::from_millis(gap)).await;
        relay.webhook(reveal(number)).accepted().await;
        wait_for_all(&relay, &servers).await;
    }
    let metrics = relay.metrics().await;
    for name in names {
        let delivered = metrics.get("attempts_total", &[("destination", name), ("result", "delivered")]);
        assert_eq!(delivered, GAPS_MS.len() as u64, "{name}: {}", relay.log());
    }
    metrics.assert_conserved();
    relay.kill();
}
