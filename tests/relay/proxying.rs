//! Proxies of the environment, with a real one.

use crate::harness::certificates::write;
use crate::harness::{Authority, Proxy, Receiver, Setup, eventually, one_destination, reveal};

const QUICK: &str = "retry: { first: 5ms, max: 20ms }, circuit: { cooldown: 20ms }";

#[tokio::test(flavor = "multi_thread")]
async fn http_goes_through_the_proxy_in_absolute_form() {
    let receiver = Receiver::start().await;
    let proxy = Proxy::start(receiver.address, None).await;
    let relay = Setup::new(one_destination("http://crm.invalid/contacts?x=1", ""))
        .seen_by(&receiver)
        .env("HTTP_PROXY", &format!("http://{}", proxy.address))
        .start()
        .await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    let asked = proxy.requests();
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("POST", "http://crm.invalid/contacts"));
    assert_eq!(receiver.requests()[0].header("host"), "crm.invalid");
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn https_goes_through_a_tunnel_that_the_proxy_cannot_look_into() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let ca = write(folder.path(), "ca.pem", &authority.pem());
    let receiver = Receiver::secure(Authority::serve(&authority.issue(&["crm.invalid"]), None)).await;
    let proxy = Proxy::start(receiver.address, Some("Basic cmVsYXk6WnE3LXByb3h5")).await;
    let routes = one_destination("https://crm.invalid/contacts", &format!("{QUICK}, tls: {{ ca: {} }}", ca.display()));
    let through = |credentials: &str| {
        Setup::new(&routes).seen_by(&receiver).env("HTTPS_PROXY", &format!("http://{credentials}{}", proxy.address)).flag("log", "trace")
    };
    let relay = through("relay:Zq7-proxy@").start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    assert_eq!((proxy.requests()[0].method.as_str(), proxy.requests()[0].path.as_str()), ("CONNECT", "crm.invalid:443"));
    assert_eq!(receiver.requests()[0].path, "/contacts");
    assert_eq!(receiver.requests()[0].find_header("proxy-authorization"), None, "it is for the proxy alone");
    let log = relay.log();
    assert!(!log.contains("Zq7-proxy") && !log.contains("WnE3LXByb3h5"), "{log}");
    relay.finish().await;

    let mut relay = through("").start().await;
    let id = relay.webhook(reveal(2)).accepted().await;
    let error = eventually("an attempt failed", async || relay.stored().attempts(&id).into_iter().find_map(|attempt| attempt.error)).await;
    assert!(error.starts_with("cannot connect") && error.contains("proxy"), "{error}");
    assert_eq!(receiver.count(), 1);
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_proxy_names_what_is_reached_directly() {
    let receiver = Receiver::start().await;
    let proxy = Proxy::start(receiver.address, None).await;
    let routes = format!(
        "destinations: {{ near: {{ url: '{}' }}, far: {{ url: 'http://crm.invalid/far' }} }}\nroutes: [{{ name: all, to: [near, far] }}]",
        receiver.url("/near")
    );
    let relay = Setup::new(routes)
        .seen_by(&receiver)
        .env("HTTP_PROXY", &format!("http://{}", proxy.address))
        .env("NO_PROXY", "127.0.0.1, internal.example.com")
        .start()
        .await;
    relay.webhook(reveal(1)).accepted().await;
    receiver.wait_for(2).await;
    let asked: Vec<String> = proxy.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, ["http://crm.invalid/far"]);
    relay.finish().await;
}
