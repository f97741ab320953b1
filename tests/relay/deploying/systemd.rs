//! One machine with systemd: the shipped unit under a real systemd, by the commands of the document.

use std::net::SocketAddr;
use std::time::Duration;

use super::document::Section;
use crate::harness::{API_KEY, Machine, Receiver, eventually, free_address};

/// A machine on which the document is followed. Only ports and places differ from what stands there.
struct Followed {
    machine: Machine,
    section: Section,
    webhooks: SocketAddr,
    admin: SocketAddr,
}

impl Followed {
    /// The block, as it is run here.
    #[track_caller]
    fn block(&self, words: &str) -> String {
        let block = self.section.block(words).replace("cargo build --locked --release\n", "");
        let block = block.replace("target/release/", "/release/").replace("127.0.0.1:9090", &self.admin.to_string());
        let (webhooks, admin) = (self.webhooks, self.admin);
        format!("export WIZA_RELAY_URL=http://{webhooks}/webhooks/wiza WIZA_RELAY_ADMIN_URL=http://{admin}\n{block}")
    }

    #[track_caller]
    fn run(&self, words: &str) -> impl Future<Output = String> {
        let block = self.block(words);
        async move { self.machine.succeed(&block).await }
    }

    async fn ready(&self) {
        let script = format!("curl -s http://{}/readyz?verbose", self.admin);
        eventually("the relay is ready", async || self.machine.run(&script).await.output.contains("in effect").then_some(())).await;
    }

    async fn show(&self, property: &str) -> String {
        self.machine.succeed(&format!("systemctl show --value -p {property} wiza-relay")).await.trim().to_owned()
    }

    async fn journal(&self) -> String {
        self.machine.succeed("journalctl --no-pager -u wiza-relay -o cat").await
    }

    async fn write_rules(&self, rules: &str) {
        let ran = self.machine.run_with_input("cat > /etc/wiza-relay/routes.yaml", rules).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_to_a_relay_under_systemd_and_back() {
    let Some(machine) = Machine::boot().await else { return };
    let section = Section::read("One machine with systemd");
    let here = Followed { machine, section, webhooks: free_address(), admin: free_address() };
    let receiver = Receiver::start().await;
    let rules = here.section.block("source:").replace("https://ingest.example.com/wiza", &receiver.url("/warehouse"));

    here.run("systemd-sysusers").await;
    let secret = here.block("secrets/wiza-api-key");
    assert_eq!(here.machine.run_with_input(&secret, &format!("{API_KEY}\n")).await.code, Some(0));
    here.write_rules(&rules).await;
    let ports =
        format!("printf 'WIZA_RELAY_LISTEN={}\\nWIZA_RELAY_ADMIN={}\\n' >> /etc/wiza-relay/wiza-relay.env\n", here.webhooks, here.admin);
    let start = here.block("enable --now").replace("systemctl daemon-reload", &format!("{ports}systemctl daemon-reload"));
    here.machine.succeed(&start).await;
    // Started means ready: nothing is waited for here.
    let status = here.show("StatusText").await;
    assert!(status.starts_with("rules: version ") && !status.contains(';'), "{status}");
    let checked = here.run("--sample valid").await;
    assert!(checked.contains("1  200 accepted"), "{checked}");
    eventually("the sample arrives", async || (receiver.requests().len() == 1).then_some(())).await;

    is_confined(&here).await;
    reloads(&here, &rules).await;
    comes_back(&here).await;

    assert!(here.run("journalctl").await.contains(r#""message": "started""#));
    assert!(here.run("runuser -u wiza-relay -- wiza-relay audit --store /var/lib").await.contains("balance"));
    here.run("wiza-relay backup").await;
    assert!(here.run("wiza-relay.previous\ninstall").await.contains("wiza-relay "));
    here.ready().await;
    here.run("mv /usr/local/bin").await;
    here.ready().await;

    let encrypted = here.block("systemd-creds");
    let ran = here.machine.run_with_input(&encrypted, "an encrypted token").await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let named = "${file:/run/credentials/wiza-relay.service/crm-token}";
    assert!(here.section.text.contains(named));
    here.write_rules(&rules.replace("warehouse:\n", &format!("warehouse:\n    headers: {{ authorization: \"Bearer {named}\" }}\n"))).await;
    here.machine.succeed("systemctl restart wiza-relay").await;
    here.ready().await;
    let send = format!("WIZA_API_KEY={API_KEY} wiza-relay send --sample risky --url http://{}/webhooks/wiza", here.webhooks);
    here.machine.succeed(&send).await;
    eventually("the credential arrives", async || {
        receiver.requests().iter().any(|request| request.find_header("authorization") == Some("Bearer an encrypted token")).then_some(())
    })
    .await;

    // Stopped by SIGTERM alone, it ends by itself and says that all is well.
    here.machine.succeed("systemctl stop wiza-relay").await;
    assert_eq!((here.show("Result").await, here.show("ExecMainStatus").await), ("success".to_owned(), "0".to_owned()));
    here.machine.succeed("systemctl start wiza-relay").await;
    here.run("disable --now").await;
    let left = here.machine.succeed("find /etc /usr/local /var /run -xdev -name '*wiza-relay*'").await;
    assert_eq!(left.trim(), "/var/backups/wiza-relay", "the back-ups and nothing else");
}

/// The kernel's own word on the running process, and systemd's on the unit.
async fn is_confined(here: &Followed) {
    let pid = here.show("MainPID").await;
    let status = here.machine.succeed(&format!("cat /proc/{pid}/status")).await;
    let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t")).unwrap_or_default().to_owned();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(of(set), "0000000000000000", "{set}");
    }
    assert_eq!((of("NoNewPrivs").as_str(), of("Seccomp").as_str()), ("1", "2"));
    assert_eq!(
        here.machine.succeed("stat -c '%U %a' /var/lib/wiza-relay /var/lib/wiza-relay/relay.db").await,
        "wiza-relay 700\nwiza-relay 600\n"
    );
    let user = here.machine.succeed("id -u wiza-relay").await;
    assert!(of("Uid").split('\t').all(|id| id == user.trim()) && user.trim() != "0", "{status}");
    for folder in ["/etc/wiza-relay", "/usr/local/bin", "/var/lib", "/home", "/opt"] {
        let ran = here.machine.run(&format!("nsenter --target {pid} --mount touch {folder}/x")).await;
        assert!(ran.code != Some(0) && ran.error.contains("Read-only file system"), "{folder}: {ran:?}");
    }
    here.machine.succeed(&format!("nsenter --target {pid} --mount touch /var/lib/wiza-relay/x && rm /var/lib/wiza-relay/x")).await;

    let verified = here.machine.run("systemd-analyze verify /etc/systemd/system/wiza-relay.service").await;
    assert_eq!((verified.code, verified.error.as_str()), (Some(0), ""));
    let security = here.machine.succeed("systemd-analyze security --no-pager --offline=true /etc/systemd/system/wiza-relay.service").await;
    let exposure = security.lines().find_map(|line| line.split_once("wiza-relay.service: ")?.1.split(' ').next()).unwrap();
    let text = here.section.text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(&format!("exposure at {exposure} of 10")), "it is {exposure}:\n{security}");
    assert!(exposure.parse::<f64>().unwrap() <= 1.2, "{security}");
}

/// Rules that are wrong fail the reload, with the place, and those before go on.
async fn reloads(here: &Followed, rules: &str) {
    let reload = here.block("systemctl reload");
    here.write_rules(&rules.replace("to: [warehouse]", "to: [warehose]")).await;
    let ran = here.machine.run(&reload).await;
    assert_ne!(ran.code, Some(0));
    let journal = here.journal().await;
    assert!(journal.contains("routes.yaml:10:10") && journal.contains("warehouse"), "{journal}");
    eventually("its status says that the file is refused", async || {
        here.show("StatusText").await.ends_with(" is not: 1 error, at /etc/wiza-relay/routes.yaml:10:10").then_some(())
    })
    .await;
    here.write_rules(&rules.replace("name: everything", "name: all of it")).await;
    here.machine.succeed(&reload).await;
    here.ready().await;
    eventually("the new rules are in effect", async || {
        let admin = here.admin;
        let metrics = here.machine.succeed(&format!("curl -s http://{admin}/metrics")).await;
        metrics.contains(r#"route="all of it""#).then_some(())
    })
    .await;
    assert_eq!(here.show("ActiveState").await, "active");
    assert!(!here.show("StatusText").await.contains(';'));
}

/// Killed, it is started again, and still has what it had.
async fn comes_back(here: &Followed) {
    let pid = here.show("MainPID").await;
    here.machine.succeed(&format!("kill -KILL {pid}")).await;
    eventually("it is started again", async || {
        let now = here.show("MainPID").await;
        (now != pid && now != "0").then_some(())
    })
    .await;
    here.ready().await;
    let events = here.machine.succeed(&format!("wiza-relay events --json --admin-url http://{}", here.admin)).await;
    assert_eq!(events.lines().count(), 1, "{events}");

    // One that stands still is noticed. Only the limit is shortened.
    assert_eq!(here.show("WatchdogUSec").await, "1min");
    let drop_in = "/run/systemd/system/wiza-relay.service.d";
    let shorten =
        format!("mkdir -p {drop_in} && printf '[Service]\\nWatchdogSec=2s\\n' > {drop_in}/watchdog.conf && systemctl daemon-reload");
    here.machine.succeed(&format!("{shorten} && systemctl restart wiza-relay")).await;
    // It says often enough that it lives.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (restarts, pid) = (here.show("NRestarts").await, here.show("MainPID").await);
    assert_eq!(restarts, "0");
    here.machine.succeed(&format!("kill -STOP {pid}")).await;
    eventually("it is ended and started again", async || (here.show("NRestarts").await == "1").then_some(())).await;
    assert!(here.journal().await.contains("Watchdog timeout"));
    here.ready().await;
    here.machine.succeed(&format!("rm -r {drop_in} && systemctl daemon-reload && systemctl restart wiza-relay")).await;

    // One that cannot start fails the command.
    here.machine.succeed("systemctl stop wiza-relay && mv /etc/wiza-relay/routes.yaml /etc/wiza-relay/away").await;
    let ran = here.machine.run("systemctl start wiza-relay").await;
    assert_ne!(ran.code, Some(0), "{ran:?}");
    here.machine.succeed("mv /etc/wiza-relay/away /etc/wiza-relay/routes.yaml && systemctl restart wiza-relay").await;
}
