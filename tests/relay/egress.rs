//! Where requests may go: judged by the address that is connected to, whatever a name resolves to and whatever is asked for.

use tempfile::NamedTempFile;

use crate::harness::collector::Collector;
use crate::harness::command::may_have_own_hosts;
use crate::harness::{Answer, Proxy, Receiver, Relay, Setup, eventually, one_destination, reveal};

const CRM: (&str, &str) = ("destination", "crm");
const QUICK: &str = "retry: { attempts: 1000, first: 5ms, max: 20ms }, circuit: { failures: 100000 }";
/// Known to the hosts file of these tests only. The first one is of this machine: a connection to 0.0.0.0 is one to loopback.
const HOSTS: &str = "127.0.0.1 localhost
0.0.0.0 unspecified.test
169.254.169.254 metadata.test
100.100.100.200 metadata.test
fd00:ec2::254 metadata.test
169.254.169.254 both.test
127.0.0.1 both.test
224.0.0.1 both.test
127.0.0.1 moving.test
";

/// One destination `crm` there, with this `egress`.
fn rules(url: &str, egress: &str) -> String {
    format!("egress: {egress}\n{}", one_destination(url, QUICK))
}

/// A relay whose hosts file is that of these tests, and the file; `None` where there cannot be one.
async fn start(setup: Setup) -> Option<(Relay, NamedTempFile)> {
    if !may_have_own_hosts() {
        return None;
    }
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), HOSTS).unwrap();
    Some((setup.hosts(file.path()).start().await, file))
}

/// Posts an event, and gives its id and why its first attempt failed.
async fn first_error(relay: &Relay, id: u64) -> (String, String) {
    let event = relay.webhook(reveal(id)).accepted().await;
    let error =
        eventually("an attempt failed", async || relay.stored().attempts(&event).into_iter().find_map(|attempt| attempt.error)).await;
    (event, error)
}

/// Waits until attempts were refused, and makes sure that none failed otherwise.
async fn refused_only(relay: &Relay) {
    eventually("attempts are refused", async || {
        (relay.metric("attempt_failures_total", &[CRM, ("reason", "egress")]).await > 0).then_some(())
    })
    .await;
    for reason in ["connection", "timeout", "credentials", "client_error", "internal"] {
        assert_eq!(relay.metric("attempt_failures_total", &[CRM, ("reason", reason)]).await, 0, "{reason}");
    }
}

/// The example: what stands in a URL's path comes from the payload, and the API would pause a destination by it.
#[tokio::test(flavor = "multi_thread")]
async fn no_event_can_pause_a_destination_through_the_relays_own_admin_port() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, QUICK).start().await;
    let (admin, webhooks) = (relay.admin, relay.webhooks);
    let hosts = ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost"];
    let mut posted = 0;
    for (host, port) in hosts.into_iter().map(|host| (host, admin.port())).chain([("127.0.0.1", webhooks.port())]) {
        let url = format!("http://{host}:{port}/api/destinations/{{{{ data.destination }}}}/{{{{ data.verb }}}}");
        let others =
            one_destination(&receiver.url("/crm"), QUICK).replace("routes:", &format!("  loop: {{ url: '{url}', {QUICK} }}\nroutes:"));
        // Nobody can open these.
        let open = "egress: { allow: [127.0.0.0/8, localhost, '::1', '::/0'] }\n";
        relay.write_rules(format!("{open}{}", others.replace("to: [crm]", "to: [loop, crm]")));
        relay.reloaded().await;
        let event = format!(r#"{{"data":{{"id":{posted},"destination":"crm","verb":"pause"}}}}"#);
        let id = relay.webhook(event).accepted().await;
        posted += 1;
        receiver.wait_for(posted).await;
        let error = eventually("the loop is refused", async || {
            relay.stored().planned(&id).into_iter().find(|delivery| delivery.destination == "loop")?.last_error
        })
        .await;
        assert_eq!(error, "cannot connect: the address is the relay's own port, which no destination may be", "{host}:{port}");
    }
    assert_eq!(relay.metric("circuit_open", &[CRM]).await, 0);
    assert!(relay.metric("attempt_failures_total", &[("destination", "loop"), ("reason", "egress")]).await > 0);
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_on_all_interfaces_is_the_relays_own_at_each_of_its_addresses() {
    let receiver = Receiver::start().await;
    let mut relay = Setup::to(&receiver, QUICK).on_all_interfaces().start().await;
    let machine = std::net::UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?; // Nothing is sent.
        socket.local_addr()
    });
    let addresses = machine.ok().map(|address| address.ip().to_string()).into_iter().chain(["127.0.0.1", "127.9.8.7"].map(str::to_owned));
    for (id, address) in (1..).zip(addresses) {
        relay.write_rules(rules(&format!("http://{address}:{}/api/events", relay.admin.port()), "{}"));
        relay.reloaded().await;
        let (_, error) = first_error(&relay, id).await;
        assert!(error.contains("the relay's own port"), "{address}: {error}");
    }
    assert_eq!(receiver.count(), 0);
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_resolves_to_metadata_is_refused_retried_and_opened_by_the_file() {
    let receiver = Receiver::start().await;
    let port = receiver.address.port();
    let url = format!("http://unspecified.test:{port}/crm");
    let Some((mut relay, _hosts)) = start(Setup::new(rules(&format!("http://metadata.test:{port}/latest"), "{}")).seen_by(&receiver)).await
    else {
        return;
    };
    let (event, error) = first_error(&relay, 1).await;
    assert!(error.contains("is a cloud's metadata service") && !error.contains("metadata.test"), "{error}");
    refused_only(&relay).await;
    // It is an operator's to mend, so it is tried again like a connection that fails.
    assert_eq!(relay.stored().delivery(&event).state, "retrying");

    relay.write_rules(rules(&url, "{}"));
    relay.reloaded().await;
    let (_, error) = first_error(&relay, 2).await;
    assert!(error.contains("is unspecified (0.0.0.0/8)"), "{error}");
    // Neither the whole internet nor the name opens what is closed by default.
    for (id, egress) in (3..).zip(["{ allow: [0.0.0.0/0, '::/0'] }", "{ allow: [unspecified.test] }"]) {
        relay.write_rules(rules(&url, egress));
        relay.reloaded().await;
        let (_, error) = first_error(&relay, id).await;
        assert!(error.contains("is unspecified (0.0.0.0/8)"), "{egress}: {error}");
    }
    assert_eq!(receiver.count(), 0);
    relay.write_rules(rules(&url, "{ allow: [0.0.0.0/32] }"));
    relay.reloaded().await;
    relay.wait_for_outcome("delivered", 4).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_names_addresses_only_those_are_connected_to_that_are_open() {
    let receiver = Receiver::start().await;
    let url = format!("http://both.test:{}/crm", receiver.address.port());
    let Some((mut relay, _hosts)) = start(Setup::new(rules(&url, "{}")).seen_by(&receiver)).await else { return };
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    // The first attempt arrived: no time went to an address that is closed.
    assert_eq!(receiver.count(), 1);
    assert_eq!(relay.metric("attempts_total", &[CRM, ("result", "retried")]).await, 0);
    relay.write_rules(rules(&url, "{ deny: [127.0.0.1] }"));
    relay.reloaded().await;
    relay.webhook(reveal(2)).accepted().await;
    refused_only(&relay).await;
    assert_eq!(receiver.count(), 1);
    relay.write_rules(rules(&url, "{ private: deny, allow: [127.0.0.1/32] }"));
    relay.reloaded().await;
    relay.wait_for_outcome("delivered", 2).await;
    relay.finish().await;
}

/// DNS rebinding: the name is judged each time that it is resolved for a connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_moves_to_a_closed_address_is_refused_from_then_on() {
    let receiver = Receiver::start().await;
    let url = format!("http://moving.test:{}/crm", receiver.address.port());
    let Some((relay, hosts)) = start(Setup::new(rules(&url, "{}")).seen_by(&receiver)).await else { return };
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    let move_to = |address: &str| {
        std::fs::write(hosts.path(), HOSTS.replace("127.0.0.1 moving.test", &format!("{address} moving.test"))).unwrap();
    };
    move_to("0.0.0.0");
    assert_eq!(relay.post("/-/reload").await.0, 200, "which begins with new connections");
    let (event, error) = first_error(&relay, 2).await;
    assert!(error.contains("is unspecified"), "{error}");
    assert_eq!((relay.stored().delivery(&event).state, receiver.count()), ("retrying", 1));
    move_to("127.0.0.1");
    relay.wait_for_outcome("delivered", 2).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_closes_and_opens_also_over_connections_that_are_open() {
    let receiver = Receiver::start().await;
    let (url, at) = (receiver.url("/crm"), receiver.address.ip());
    let mut relay = Setup::new(rules(&format!("http://localhost:{}/crm", receiver.address.port()), "{}")).seen_by(&receiver).start().await;
    relay.webhook(reveal(0)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    let by_name = format!("http://localhost:{}/crm", receiver.address.port());
    let mut delivered = 1;
    for (closed, open) in [
        ("{ private: deny }", "{ private: allow }"),
        ("{ private: deny }", "{ private: deny, allow: [localhost] }"),
        ("{ deny: [localhost] }", "{ deny: [other.test] }"),
        ("{ deny: [127.0.0.0/8, '::1'] }", "{ deny: [127.0.0.0/8, '::1'], allow: [127.0.0.1] }"),
        ("{ deny: [0.0.0.0/0, '::/0'] }", "{ deny: [0.0.0.0/0, '::/0'], allow: [localhost] }"),
    ] {
        // What is written as a host is refused when the rules are read, so the name is what leads there.
        relay.write_rules(rules(&by_name, closed));
        if closed.contains("localhost") {
            let (status, told) = relay.post("/-/reload").await;
            assert_eq!(status, 422, "{told}");
            assert!(told.to_string().contains("`egress.deny` has `localhost`"), "{told}");
        } else {
            relay.reloaded().await;
            let (event, error) = first_error(&relay, delivered).await;
            assert!(error.contains("`egress."), "{closed}: {error}");
            assert_eq!((relay.stored().delivery(&event).state, receiver.count() as u64), ("retrying", delivered), "{closed}");
            delivered += 1;
        }
        relay.write_rules(rules(&by_name, open));
        relay.reloaded().await;
        relay.wait_for_outcome("delivered", delivered).await;
    }
    relay.write_rules(rules(&url, &format!("{{ deny: [{at}] }}")));
    assert_eq!(relay.post("/-/reload").await.0, 422, "an address in the file is judged with it");
    relay.write_rules(rules(&url, "{}"));
    relay.reloaded().await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_server_is_judged_as_well() {
    let receiver = Receiver::start().await;
    let tokens = Receiver::always(Answer::status(200).body(r#"{"access_token":"t","token_type":"Bearer"}"#)).await;
    let keys = |host: &str, port: u16| {
        format!("{QUICK}, auth: {{ oauth2: {{ token_url: 'http://{host}:{port}/token', client_id: relay, client_secret: s3cret }} }}")
    };
    let rules = |host: &str, port: u16| one_destination(&receiver.url("/crm"), &keys(host, port));
    let setup = Setup::new(rules("metadata.test", tokens.address.port())).seen_by(&receiver);
    let Some((mut relay, _hosts)) = start(setup).await else { return };
    let (event, error) = first_error(&relay, 1).await;
    assert!(error.starts_with("the token server: ") && error.contains("metadata service"), "{error}");
    assert_eq!(relay.stored().delivery(&event).state, "retrying");
    refused_only(&relay).await;
    relay.write_rules(rules("localhost", relay.admin.port()));
    relay.reloaded().await;
    let (_, error) = first_error(&relay, 2).await;
    assert!(error.contains("the relay's own port"), "{error}");
    assert_eq!((receiver.count(), tokens.count()), (0, 0));
    relay.write_rules(rules("localhost", tokens.address.port()));
    relay.reloaded().await;
    relay.wait_for_outcome("delivered", 2).await;
    relay.finish().await;
}

/// What a proxy connects to is the proxy's, but what the file names is judged all the same. The proxy itself is the operator's, and so is
/// the collector of traces.
#[tokio::test(flavor = "multi_thread")]
async fn through_a_proxy_the_host_that_is_written_is_judged_and_the_operators_own_servers_are_not() {
    let receiver = Receiver::start().await;
    let collector = Collector::start().await;
    let proxy = Proxy::start(receiver.address, None).await;
    let closed = "{ private: deny, deny: ['*.evil.test'] }";
    let setup = Setup::new(rules("http://crm.test/crm", closed)).seen_by(&receiver);
    let mut relay = collector.of(setup).env("HTTP_PROXY", &format!("http://{}", proxy.address)).env("NO_PROXY", "127.0.0.1").start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    assert_eq!(proxy.requests().len(), 1);
    eventually("the collector is told", async || (collector.receiver.count() > 0).then_some(())).await;
    relay.write_rules(rules("http://crm.evil.test/crm", closed));
    assert_eq!(relay.post("/-/reload").await.0, 422);
    relay.kill();

    let mut relay = Setup::to(&receiver, "").env("HTTP_PROXY", &format!("http://{}", proxy.address)).start().await;
    relay.write_rules(rules(&format!("http://{}/-/reload", relay.admin), "{}"));
    relay.reloaded().await;
    let (_, error) = first_error(&relay, 2).await;
    assert!(error.contains("the relay's own port"), "{error}");
    assert_eq!(proxy.requests().len(), 1);
    relay.kill();
}
