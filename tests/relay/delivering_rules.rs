//! Which destination gets what.

use serde_json::json;

use crate::harness::{Receiver, Setup, reveal};

#[tokio::test(flavor = "multi_thread")]
async fn of_several_routes_to_one_destination_the_first_wins() {
    let receiver = Receiver::start().await;
    let routes = format!(
        "destinations: {{ crm: {{ url: '{url}/own', body: {{ from: destination }} }} }}
routes:
  - {{ name: never, when: data.id == 99, to: [{{ destination: crm, body: {{ from: never }} }}] }}
  - {{ name: first, when: data.id == 1, to: [{{ destination: crm, body: {{ from: first, route: '{{{{ event.route }}}}' }} }}] }}
  - {{ name: second, to: [crm] }}
  - {{ name: third, to: [{{ destination: crm, body: {{ from: third }} }}] }}",
        url = receiver.url("")
    );
    let relay = Setup::new(routes).seen_by(&receiver).start().await;
    let one = relay.webhook(reveal(1)).accepted().await;
    let two = relay.webhook(reveal(2)).accepted().await;
    relay.wait_for_outcome("delivered", 2).await;
    assert_eq!(relay.delivery(&one).await.route.as_deref(), Some("first"));
    assert_eq!(relay.delivery(&two).await.route.as_deref(), Some("second"));
    let metrics = relay.metrics().await;
    let matched = ["never", "first", "second", "third"].map(|route| metrics.get("route_matches_total", &[("route", route)]));
    assert_eq!(matched, [0, 1, 2, 2]);
    assert_eq!(metrics.get("unmatched_total", &[]), 0);
    relay.finish().await;
    let body = |id: &str| {
        let name = format!("{id}_crm");
        receiver.requests().iter().find(|request| request.webhook_id() == name).unwrap().json()
    };
    assert_eq!(body(&one), json!({"from": "first", "route": "first"}));
    assert_eq!(body(&two), json!({"from": "destination"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_the_walk_and_a_shadow_does_nothing() {
    let receiver = Receiver::start().await;
    let routes = format!(
        "destinations: {{ a: {{ url: '{url}/a' }}, b: {{ url: '{url}/b' }}, c: {{ url: '{url}/c' }} }}
routes:
  - {{ name: shadow, shadow: true, stop: true, to: [c] }}
  - {{ name: stopping, when: data.id == 1, stop: true, to: [a] }}
  - {{ name: rest, to: [b] }}",
        url = receiver.url("")
    );
    let relay = Setup::new(routes).seen_by(&receiver).start().await;
    let one = relay.webhook(reveal(1)).accepted().await;
    let two = relay.webhook(reveal(2)).accepted().await;
    let metrics = relay.metrics().await;
    let matched = ["shadow", "stopping", "rest"].map(|route| metrics.get("route_matches_total", &[("route", route)]));
    assert_eq!(matched, [2, 1, 1]);
    assert_eq!(metrics.get("planned_total", &[("destination", "c")]), 0);
    let recorded = [&one, &two].map(|id| relay.stored().routes(id));
    assert_eq!(recorded, [["shadow", "stopping"], ["shadow", "rest"]]);
    relay.finish().await;
    let mut got: Vec<_> = receiver.requests().iter().map(|request| (request.webhook_id().to_owned(), request.path.clone())).collect();
    got.sort();
    assert_eq!(got, [(format!("{one}_a"), "/a".to_owned()), (format!("{two}_b"), "/b".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_route_takes_goes_where_unmatched_says() {
    let receiver = Receiver::start().await;
    let routes = format!(
        "destinations: {{ crm: {{ url: '{url}/crm' }}, attic: {{ url: '{url}/attic' }} }}
routes:
  - {{ name: ones, when: data.id == 1, to: [crm] }}
  - {{ name: tried out, when: data.id == 2, shadow: true, to: [crm] }}
unmatched: [{{ destination: attic, body: {{ id: $.data.id, route: '{{{{ event.route }}}}' }} }}]",
        url = receiver.url("")
    );
    let relay = Setup::new(routes).seen_by(&receiver).start().await;
    let mut ids = Vec::new();
    for number in 1..=3 {
        ids.push(relay.webhook(reveal(number)).accepted().await);
    }
    assert_eq!(relay.metric("unmatched_total", &[]).await, 2);
    let stored = relay.stored();
    assert_eq!(ids.iter().map(|id| stored.event(id).status).collect::<Vec<_>>(), [0, 1, 1]);
    relay.finish().await;
    let mut attic: Vec<_> =
        receiver.requests().iter().filter(|request| request.path == "/attic").map(|request| request.json()["id"].clone()).collect();
    attic.sort_by_key(ToString::to_string);
    assert_eq!(attic, [json!(2), json!(3)]);
    assert_eq!(receiver.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_wants_is_kept() {
    let receiver = Receiver::start().await;
    let routes =
        format!("destinations: {{ crm: {{ url: '{}' }} }}\nroutes: [{{ name: none, when: data.id == 99, to: [crm] }}]", receiver.url("/"));
    let relay = Setup::new(routes).seen_by(&receiver).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    assert_eq!((relay.stored().event(&id).status, relay.stored().planned(&id)), (1, vec![]));
    assert_eq!(relay.stored().event(&id).body, reveal(1).as_bytes());
    relay.finish().await;
    assert_eq!(receiver.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_change_url_headers_and_body() {
    let receiver = Receiver::start().await;
    let routes = format!(
        "destinations:
  crm: {{ url: '{url}/own', headers: {{ x-kept: kept, x-changed: own }}, body: {{ from: own }} }}
routes:
  - name: changed
    when: data.id == 1
    to: [{{ destination: crm, url: '{url}/other/{{{{ data.id }}}}', headers: {{ X-Changed: changed, x-new: new }}, body: 'text {{{{ data.id }}}}' }}]
  - {{ name: rest, to: [crm] }}",
        url = receiver.url("")
    );
    let relay = Setup::new(routes).seen_by(&receiver).start().await;
    let one = relay.webhook(reveal(1)).accepted().await;
    relay.webhook(reveal(2)).accepted().await;
    relay.finish().await;
    let requests = receiver.requests();
    let (changed, own): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.webhook_id().starts_with(&one));
    let headers = ["x-kept", "x-changed", "x-new", "content-type"];
    assert_eq!(
        headers.map(|name| changed[0].find_header(name)),
        [Some("kept"), Some("changed"), Some("new"), Some("text/plain; charset=utf-8")]
    );
    assert_eq!((changed[0].path.as_str(), changed[0].body.as_slice()), ("/other/1", &b"text 1"[..]));
    assert_eq!(headers.map(|name| own[0].find_header(name)), [Some("kept"), Some("own"), None, Some("application/json")]);
    assert_eq!((own[0].path.as_str(), own[0].json()), ("/own", json!({"from": "own"})));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_repositorys_own_rules_take_the_samples_where_they_belong() {
    let receiver = Receiver::start().await;
    let file = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/routes.yaml"));
    let relay = Setup::new(file)
        .env("WIZA_API_KEY", crate::harness::API_KEY)
        .env("SLACK_WEBHOOK_URL", &receiver.url("/slack"))
        .env("CRM_URL", &receiver.url("/crm"))
        .env("CRM_TOKEN", "s3cret-token")
        .env("DIALLER_URL", &receiver.url("/dialler"))
        .env("WAREHOUSE_URL", &receiver.url("/warehouse"))
        .seen_by(&receiver)
        .start()
        .await;
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    for (sample, wanted) in [
        ("valid", &["crm", "warehouse"][..]),
        ("risky", &["warehouse"]),
        ("unfound", &["warehouse"]),
        ("failed", &["slack-alerts", "warehouse"]),
        ("billing", &["slack-alerts", "warehouse"]),
        ("phone", &["dialler", "warehouse"]),
        ("full", &["crm", "dialler", "warehouse"]),
    ] {
        let body = std::fs::read(format!("{samples}/{sample}.json")).unwrap();
        let id = relay.webhook(body).accepted().await;
        let mut planned: Vec<_> = relay.stored().planned(&id).into_iter().map(|delivery| delivery.destination).collect();
        planned.sort();
        assert_eq!(planned, wanted, "{sample}");
    }
    relay.finish().await;
    let paths: Vec<_> = receiver.requests().into_iter().map(|request| request.path).filter(|path| path.starts_with("/crm")).collect();
    assert_eq!(paths.len(), 2);
}
