//! HTTP servers that receivers are really made with, each of which closes idle connections after a time of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::{Relay, Setup, eventually, free_address, repository, skipped};

/// The servers, with the idle times in milliseconds around which a request may meet the end of its connection: from, to and step.
const SERVERS: [(&str, [u64; 3]); 6] = [
    // Says keep-alive, closes after two seconds and up to half a second more.
    ("gunicorn", [1980, 2580, 8]),
    ("uvicorn", [4960, 5040, 4]),
    ("hypercorn", [4960, 5040, 4]),
    // Says `keep-alive: timeout=5`.
    ("node", [5960, 6040, 4]),
    ("cherrypy", [9960, 10_040, 4]),
    ("granian", [29_960, 30_040, 4]),
];
/// Answers 200, for WSGI and for ASGI.
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

async fn start(name: &str, folder: &Path) -> Option<Server> {
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
    let mut server = Server { address, child };
    eventually(&format!("{name} listens"), async || {
        assert!(server.child.try_wait().unwrap().is_none(), "{name} ended at once");
        tokio::net::TcpStream::connect(address).await.ok()
    })
    .await;
    Some(server)
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_close_idle_connections_each_in_their_own_time_cost_no_attempt() {
    let folder = tempfile::tempdir().unwrap();
    for (file, content) in [("app.py", APPLICATION), ("cherry.py", CHERRYPY), ("node.js", NODE)] {
        std::fs::write(folder.path().join(file), content).unwrap();
    }
    // A destination, with connections of its own, for each server and time.
    let mut servers = Vec::new();
    let mut gaps = Vec::new();
    let mut routes =
        "defaults: { success: $.ok == true, retry: { attempts: 1 }, circuit: { failures: 1, cooldown: 1h } }\ndestinations:\n".to_owned();
    for (name, [from, to, step]) in SERVERS {
        let Some(server) = start(name, folder.path()).await else { continue };
        for gap in (from..=to).step_by(usize::try_from(step).unwrap()) {
            routes += &format!("  {name}-{gap}: {{ url: 'http://{}/' }}\n", server.address);
            gaps.push((format!("{name}-{gap}"), Duration::from_millis(gap)));
        }
        servers.push(server);
    }
    routes += "routes:\n";
    for (name, _) in &gaps {
        routes += &format!("  - {{ name: '{name}', when: 'data.id == \"{name}\"', to: ['{name}'] }}\n");
    }
    if servers.is_empty() {
        return;
    }
    let mut relay = Setup::new(routes).start().await;
    let payload = |name: &str, number: u8| format!(r#"{{"number":{number},"data":{{"id":"{name}"}}}}"#);
    let mut later = tokio::task::JoinSet::new();
    for (name, gap) in &gaps {
        relay.webhook(payload(name, 1)).accepted().await;
        let (second, gap) = (relay.webhook(payload(name, 2)), *gap);
        later.spawn(async move {
            tokio::time::sleep(gap).await;
            second.accepted().await
        });
    }
    later.join_all().await;
    eventually("every event was attempted", async || {
        let ended = attempts(&relay, "delivered").await + attempts(&relay, "retried").await + attempts(&relay, "dead").await;
        (ended >= 2 * gaps.len()).then_some(())
    })
    .await;
    assert_eq!(attempts(&relay, "delivered").await, 2 * gaps.len(), "{}", relay.log());
    relay.metrics().await.assert_conserved();
    relay.kill();
}

/// How many attempts led to this, at all destinations.
async fn attempts(relay: &Relay, result: &str) -> usize {
    let metrics = relay.metrics().await;
    let of = |name: &String| usize::try_from(metrics.get("attempts_total", &[("destination", name), ("result", result)])).unwrap();
    metrics.destinations().iter().map(of).sum()
}
