//! The shipped nginx configuration in a real nginx, over TLS, with a relay behind it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::document::Section;
use crate::harness::{
    API_KEY, Authority, Receiver, Setup, certificates, eventually, free_address, repository, reveal, sha256_hex, skipped,
};

/// A running nginx, ended when it is dropped.
struct Nginx {
    child: Child,
    address: SocketAddr,
    client: reqwest::Client,
    folder: TempDir,
}

impl Nginx {
    /// With the shipped file, in which only places and the certificate are of this test.
    async fn start(relay: SocketAddr) -> Option<Self> {
        let unpacked = repository("target/nginx/usr/sbin/nginx");
        let program = if unpacked.exists() { unpacked.display().to_string() } else { "nginx".to_owned() };
        if !Command::new(&program).arg("-v").output().is_ok_and(|ran| ran.status.success()) {
            skipped("there is no nginx (tests/tools unpacks Debian's)");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("wiza-relay-nginx-").tempdir().unwrap();
        let authority = Authority::new();
        let issued = authority.issue(&["relay.example.com"]);
        let certificate = certificates::write(folder.path(), "fullchain.pem", &issued.certificate).display().to_string();
        let key = certificates::write(folder.path(), "privkey.pem", &issued.key).display().to_string();
        let address = free_address();
        let mut site = std::fs::read_to_string(repository("deploy/nginx/wiza-relay.conf")).unwrap();
        for (shipped, here) in [
            ("127.0.0.1:8080", relay.to_string()),
            ("    listen 443 ssl;", format!("    listen {address} ssl;")),
            ("    listen [::]:443 ssl;\n", String::new()),
            ("/etc/ssl/wiza-relay/fullchain.pem", certificate),
            ("/etc/ssl/wiza-relay/privkey.pem", key),
        ] {
            assert!(site.contains(shipped), "{shipped}");
            site = site.replace(shipped, &here);
        }
        certificates::write(folder.path(), "site.conf", &site);
        let places: String =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};\n")).concat();
        let main = format!(
            "daemon off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n{places}access_log off;\ninclude site.conf;\n}}\n"
        );
        let main = if is_root() { format!("user root;\n{main}") } else { main };
        certificates::write(folder.path(), "nginx.conf", &main);
        let nginx = |arguments: &[&str]| {
            let mut command = Command::new(&program);
            command.arg("-p").arg(folder.path()).args(["-e", "stderr", "-c", "nginx.conf"]).args(arguments);
            command
        };
        let tested = nginx(&["-t"]).output().unwrap();
        assert!(tested.status.success(), "{tested:?}");
        assert!(!String::from_utf8_lossy(&tested.stderr).contains("[warn]"), "{tested:?}");
        let child = nginx(&[]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let authority = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([authority]).resolve("relay.example.com", address);
        let nginx = Self { child, address, client: client.build().unwrap(), folder };
        eventually("nginx listens", async || tokio::net::TcpStream::connect(address).await.ok()).await;
        Some(nginx)
    }

    async fn post(&self, path: &str, key: &str, body: String) -> (u16, String) {
        let url = format!("https://relay.example.com:{}{path}", self.address.port());
        let request = self.client.post(url).header("x-auth-key", sha256_hex(key)).header("content-type", "application/json").body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that it takes its worker with it.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&Path::new("/proc/self").metadata().unwrap()) == 0
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_the_relay_is_who_answers() {
    let section = Section::read("TLS in front");
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, "").start().await;
    let Some(nginx) = Nginx::start(relay.webhooks).await else { return relay.kill() };

    let (status, said) = nginx.post("/webhooks/wiza/emea?campaign=q4", API_KEY, reveal(1)).await;
    assert!(status == 200 && said.contains("accepted"), "{status} {said}");
    receiver.wait_for(1).await;
    let events = relay.listed(&["events"]).await;
    assert_eq!((&events[0]["path"], &events[0]["query"]), (&"emea".into(), &"campaign=q4".into()));

    // Larger than the relay takes, smaller than nginx takes: the relay refuses, and counts it.
    let (status, said) = nginx.post("/webhooks/wiza", API_KEY, "x".repeat(1_500_000)).await;
    assert!(status == 413 && said.contains("max_body"), "{status} {said}");
    assert_eq!(relay.metric("webhooks_total", &[("outcome", "too_large")]).await, 1);

    // All come from nginx's address. Whoever guesses is limited, with everybody else who has no right key; a right key is not.
    let mut last = 0;
    for _ in 0..61 {
        last = nginx.post("/webhooks/wiza", "guessed", reveal(2)).await.0;
    }
    assert_eq!(last, 429);
    assert_eq!(nginx.post("/webhooks/wiza", API_KEY, reveal(3)).await.0, 200);
    receiver.wait_for(2).await;

    // While the relay is away Wiza is told to come again; nginx needs no word when it is back.
    relay.terminate().await;
    assert_eq!(nginx.post("/webhooks/wiza", API_KEY, reveal(4)).await.0, 502);

    let left: Vec<String> = ["client_body", "proxy"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(nginx.folder.path().join(folder)).into_iter().flatten())
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect();
    assert!(left.is_empty(), "a webhook was left on the disk: {left:?}");
    // They are for a machine on which nginx is a service, or stand for Caddy, which is not tried here.
    section.block("nginx -s reload");
    section.block("reverse_proxy");
}
