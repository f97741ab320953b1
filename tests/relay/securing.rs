//! HTTPS: against real TLS servers, with certificates made for the test.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::certificates::{Issued, write};
use crate::harness::{Authority, Receiver, Relay, Setup, eventually, one_destination, reveal};

const HOST: &str = "127.0.0.1";
const QUICK: &str = "retry: { first: 5ms, max: 20ms }, circuit: { cooldown: 20ms }";

/// Posts an event, and gives its id and why its first attempt failed.
async fn first_error(relay: &Relay) -> (String, String) {
    let id = relay.webhook(reveal(1)).accepted().await;
    let error = eventually("an attempt failed", async || relay.stored().attempts(&id).into_iter().find_map(|attempt| attempt.error)).await;
    (id, error)
}

fn identity_keys(folder: &Path, issued: &Issued) -> String {
    let certificate = write(folder, "client.pem", &issued.certificate);
    let key = write(folder, "client.key", &issued.key);
    format!("cert: {}, key: {}", certificate.display(), key.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_systems_authorities_are_trusted_and_own_ones_stand_in_their_place() {
    let (system, own) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let system_file = write(folder.path(), "system.pem", &system.pem());
    let own_file = write(folder.path(), "own.pem", &own.pem());
    let public = Receiver::secure(Authority::serve(&system.issue(&[HOST]), None)).await;
    let private = Receiver::secure(Authority::serve(&own.issue(&[HOST]), None)).await;
    let tls = format!("tls: {{ ca: {} }}", own_file.display());
    let routes = format!(
        "destinations:
  public: {{ url: '{0}' }}
  private: {{ url: '{1}', {tls} }}
  public-with-own: {{ url: '{0}', {tls}, retry: {{ attempts: 1 }} }}
  private-without: {{ url: '{1}', retry: {{ attempts: 1 }} }}
routes: [{{ name: all, to: [public, private, public-with-own, private-without] }}]",
        public.url("/public"),
        private.url("/private"),
    );
    let relay =
        Setup::new(routes).env("SSL_CERT_FILE", &system_file.display().to_string()).seen_by(&public).seen_by(&private).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    public.wait_for(1).await;
    private.wait_for(1).await;
    let stored = eventually("all have their outcome", async || {
        let planned = relay.stored().planned(&id);
        planned.iter().all(|delivery| matches!(delivery.state, "delivered" | "dead")).then_some(planned)
    })
    .await;
    for delivery in stored {
        let refused = matches!(delivery.destination.as_str(), "public-with-own" | "private-without");
        assert_eq!(delivery.state, if refused { "dead" } else { "delivered" }, "{delivery:?}");
        if refused {
            let error = delivery.last_error.unwrap();
            assert!(error.contains("of an authority that is not trusted; `tls: { ca: /path.pem }` trusts your own"), "{error}");
        }
    }
    assert_eq!((public.count(), private.count()), (1, 1));
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_namesake_for_another_host_or_an_old_one_is_refused_in_plain_words() {
    let authority = Authority::named("rivals");
    let folder = tempfile::tempdir().unwrap();
    let ca = write(folder.path(), "ca.pem", &authority.pem());
    let namesake = "cannot connect: TLS: the certificate is of an authority that is not trusted; `tls: { ca: /path.pem }` trusts your own";
    for (issued, words) in [
        (Authority::named("rivals").issue(&[HOST]), namesake),
        (authority.issue(&["crm.example.com"]), "cannot connect: TLS: the certificate is for another host name"),
        (authority.issue_expired(&[HOST]), "cannot connect: TLS: the certificate has expired"),
    ] {
        let receiver = Receiver::secure(Authority::serve(&issued, None)).await;
        let mut relay = Setup::to(&receiver, &format!("{QUICK}, tls: {{ ca: {} }}", ca.display())).start().await;
        let (_, error) = first_error(&relay).await;
        assert_eq!(error, words);
        assert_eq!(receiver.count(), 0);
        relay.metrics().await.assert_conserved();
        relay.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_signs_for_itself_is_trusted_once_its_certificate_is_named() {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = write(folder.path(), "self.pem", &cert.pem());
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let receiver = Receiver::secure(tls).await;
    let relay = Setup::to(&receiver, &format!("tls: {{ ca: {} }}", ca.display())).start().await;
    relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_authorities_still_sends_where_none_are_needed() {
    let authority = Authority::new();
    let secure = Receiver::secure(Authority::serve(&authority.issue(&[HOST]), None)).await;
    let plain = Receiver::start().await;
    let routes = format!(
        "destinations: {{ plain: {{ url: '{}' }}, secure: {{ url: '{}', retry: {{ attempts: 1 }} }} }}\nroutes: [{{ name: all, to: [plain, secure] }}]",
        plain.url("/"),
        secure.url("/")
    );
    let nowhere = "/nonexistent";
    let relay = Setup::new(routes).env("SSL_CERT_FILE", nowhere).env("SSL_CERT_DIR", nowhere).seen_by(&plain).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    plain.wait_for(1).await;
    let error =
        eventually("the other is given up", async || relay.stored().planned(&id).into_iter().find_map(|delivery| delivery.last_error))
            .await;
    assert!(error.contains("not trusted"), "{error}");
    assert!(relay.log().contains("no HTTPS without `tls: { ca: ... }`"));
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_speaks_no_tls_or_ends_the_handshake_is_a_failure_in_plain_words() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // As many servers answer whoever comes to the wrong port.
    let http = &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..];
    for (answer, words) in [(http, "cannot connect: TLS: what the other side speaks is not TLS"), (b"", "cannot connect: ")] {
        let listener = tokio::net::TcpListener::bind((HOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 16 * 1024]).await;
                let _ = stream.write_all(answer).await;
            }
        });
        let mut relay = Setup::new(one_destination(&format!("https://{address}/crm"), QUICK)).start().await;
        let (_, error) = first_error(&relay).await;
        assert!(error.starts_with(words) && error.len() > "cannot connect: ".len(), "{error}");
        relay.metrics().await.assert_conserved();
        relay.kill();
        server.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_demands_a_certificate_gets_it_and_a_renewed_one_is_taken_up() {
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let ca = write(folder.path(), "ca.pem", &authority.pem());
    let receiver = Receiver::secure(Authority::serve(&authority.issue(&[HOST]), Some(&clients))).await;

    // Without any: the server breaks the handshake off.
    let without = Setup::to(&receiver, &format!("{QUICK}, tls: {{ ca: {} }}", ca.display()));
    let mut relay = without.start().await;
    let (_, error) = first_error(&relay).await;
    assert!(error.contains("TLS: received fatal alert: ") && error.contains("ertificate"), "{error}");
    assert_eq!(receiver.count(), 0);
    relay.kill();

    // With one of somebody else's.
    let keys = identity_keys(folder.path(), &strangers.issue(&["relay"]));
    let relay = Setup::to(&receiver, &format!("{QUICK}, tls: {{ ca: {}, {keys} }}", ca.display())).start().await;
    let broken = receiver.broken_handshakes();
    let (id, error) = first_error(&relay).await;
    assert!(error.contains("TLS: received fatal alert: "), "{error}");
    assert_eq!(receiver.count(), 0);
    assert!(receiver.broken_handshakes() > broken);

    // The files change, routes.yaml does not.
    identity_keys(folder.path(), &clients.issue(&["relay"]));
    assert_eq!(relay.post("/-/reload").await.1["status"], "reloaded");
    let requests = receiver.wait_for(1).await;
    assert_eq!(requests[0].webhook_id(), format!("{id}_crm"));
    assert_eq!(relay.post("/-/reload").await.1["status"], "unchanged");

    // A file that is broken now changes nothing.
    std::fs::write(folder.path().join("client.key"), "not a key").unwrap();
    let (status, problem) = relay.post("/-/reload").await;
    assert_eq!(status, 422, "{problem}");
    assert!(problem["findings"][0]["message"].as_str().unwrap().contains("holds no private key in PEM"), "{problem}");
    relay.webhook(reveal(2)).accepted().await;
    receiver.wait_for(2).await;
    relay.finish().await;
}

/// What most receivers on the Internet speak.
#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_spoken_where_the_server_offers_it() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let ca = write(folder.path(), "ca.pem", &authority.pem());
    let mut tls = Authority::serve(&authority.issue(&[HOST]), None);
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let listener = tokio::net::TcpListener::bind((HOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (count, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let server = {
        let (count, connections) = (Arc::clone(&count), Arc::clone(&connections));
        tokio::spawn(async move {
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
            while let Ok((stream, _)) = listener.accept().await {
                let stream = acceptor.accept(stream).await.unwrap();
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                connections.fetch_add(1, Ordering::SeqCst);
                let count = Arc::clone(&count);
                let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let count = Arc::clone(&count);
                    async move {
                        let is_whole = request.version() == http::Version::HTTP_2
                            && request.headers().contains_key("webhook-id")
                            && request.headers().get("x-person").is_some_and(|value| value == "Zq8-person");
                        count.fetch_add(usize::from(is_whole), Ordering::SeqCst);
                        let body = http_body_util::Full::new(bytes::Bytes::from_static(b"{\"ok\":true}"));
                        Ok::<_, std::convert::Infallible>(http::Response::new(body))
                    }
                });
                let executor = hyper_util::rt::TokioExecutor::new();
                tokio::spawn(
                    hyper::server::conn::http2::Builder::new(executor).serve_connection(hyper_util::rt::TokioIo::new(stream), service),
                );
            }
        })
    };
    let headers = "headers: { authorization: 'Bearer ${TOKEN}', x-person: '{{ data.name }}' }";
    let keys = format!("success: $.ok, {headers}, tls: {{ ca: {} }}", ca.display());
    let routes = one_destination(&format!("https://{address}/crm"), &keys);
    let mut relay = Setup::new(routes).flag("log", "trace").env("TOKEN", "Zq7-secret").start().await;
    for number in 0..20 {
        relay.webhook(format!(r#"{{"data":{{"id":{number},"name":"Zq8-person"}}}}"#)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 20).await;
    assert_eq!(count.load(Ordering::SeqCst), 20);
    assert!(connections.load(Ordering::SeqCst) <= 16, "one connection carries many requests");
    let log = relay.log();
    assert!(log.contains("TRACE") && !log.contains("Zq7-secret") && !log.contains("Zq8-person"));
    relay.metrics().await.assert_conserved();
    relay.kill();
    server.abort();
}
