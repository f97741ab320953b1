//! Proxies of the environment, with a real one.

use crate::harness::certificates::write;
use crate::harness::{Authority, Proxy, Receiver, Setup, eventually, one_destination, reveal, run_with};

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

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_directly_is_said_as_for_curl_and_go() {
    let receiver = Receiver::start().await;
    let proxy = Proxy::start(receiver.address, None).await;
    let port = receiver.address.port();
    for (list, goes_directly) in [
        ("*".to_owned(), true),
        (format!("127.0.0.1:{port}"), true),
        ("127.0.0.1:1".to_owned(), false),
        ("127.0.0.0/8".to_owned(), true),
        ("[::1], *.internal, .example.com, 0.0.1".to_owned(), false),
    ] {
        let before = (proxy.requests().len(), receiver.count());
        let relay = Setup::to(&receiver, "").env("http_proxy", &proxy.address.to_string()).env("no_proxy", &list).start().await;
        relay.webhook(reveal(1)).accepted().await;
        relay.wait_for_outcome("delivered", 1).await;
        relay.finish().await;
        let through = usize::from(!goes_directly);
        assert_eq!((proxy.requests().len(), receiver.count()), (before.0 + through, before.1 + 1), "{list}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_cannot_be_used_ends_the_start_and_is_not_shown() {
    let receiver = Receiver::start().await;
    let told = Setup::to(&receiver, "").env("ALL_PROXY", "socks5://relay:Zq7-proxy@proxy:1080").try_start().await;
    let log = told.err().expect("it must not start");
    assert!(log.contains("ALL_PROXY: a proxy is `http://` or `https://`, and this one is `socks5://`"), "{log}");
    assert!(!log.contains("Zq7-proxy"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn send_goes_to_https_through_the_proxy_unless_no_proxy_says_otherwise() {
    let receiver = Receiver::start().await;
    let proxy = Proxy::start(receiver.address, None).await;
    let send = ["send", "--url", "https://relay.invalid:8443/webhooks/wiza", "--api-key", "k", "--count", "1"];
    let https_proxy = format!("http://{}", proxy.address);
    for (list, asked) in [("*.invalid:8443", 0), ("[::1]", 1)] {
        let ran = run_with(&send, &[("HTTPS_PROXY", &https_proxy), ("NO_PROXY", list)]).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_eq!(proxy.requests().len(), asked, "{list}: {ran:?}");
    }
    assert_eq!(proxy.requests()[0].path, "relay.invalid:8443");
}
