//! A 200 is a 200, whatever stands around it.

use crate::harness::{Answer, Receiver, Setup, gzip, one_destination, reveal};

const CRM: (&str, &str) = ("destination", "crm");
const UNFORGIVING: &str = "retry: { attempts: 1 }, circuit: { failures: 1, cooldown: 1h }";

fn many_headers(count: usize) -> String {
    (0..count).map(|number| format!("x-header-{number}: {number}\r\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_headers_of_a_reply_do_not_make_it_a_failure() {
    let heads = [
        many_headers(99),
        many_headers(101),
        many_headers(250),
        "x-folded: one\r\n two\r\n\tthree\r\n".to_owned(),
        "x-spaced : 1\r\n".to_owned(),
        "x-spaced\t: 1\r\n".to_owned(),
        "x spaced: 1\r\n".to_owned(),
        "x-bad(name): 1\r\n".to_owned(),
        "x-n\u{e4}me: 1\r\n".to_owned(),
        ": nothing\r\n".to_owned(),
        "no colon at all\r\n".to_owned(),
        "x-control: a\u{1}b\r\n".to_owned(),
        "x-latin: \u{e4}\r\n".to_owned(),
        "x-empty:\r\n".to_owned(),
        "connection: close\r\nconnection: keep-alive\r\n".to_owned(),
        "HTTP/1.1 100 Continue\r\n".to_owned(),
    ];
    for head in heads {
        let reply = format!("HTTP/1.1 200 OK\r\n{head}content-length: 2\r\n\r\nok");
        let receiver = Receiver::always(Answer::Raw(200, reply.into_bytes())).await;
        let relay = Setup::to(&receiver, UNFORGIVING).start().await;
        let id = relay.webhook(reveal(1)).accepted().await;
        relay.wait_for_metric("waiting", &[CRM], 0).await;
        let delivery = relay.stored().delivery(&id);
        assert_eq!((delivery.state, delivery.attempts), ("delivered", 1), "{head:?}: {delivery:?}");
        relay.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_with_more_headers_than_are_read_is_told_as_that() {
    let reply = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", many_headers(1000));
    let receiver = Receiver::always(Answer::Raw(500, reply.into_bytes())).await;
    let mut relay = Setup::to(&receiver, UNFORGIVING).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    let error = relay.stored().attempts(&id)[0].error.clone().unwrap();
    assert_eq!(error, "the answer has more than 256 headers, or more than 256 KiB of them");
    relay.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn success_is_asked_of_the_json_that_a_reply_holds_however_it_is_packed() {
    let json = br#"{"ok":true}"#;
    let marked = [b"\xef\xbb\xbf", &json[..]].concat();
    for (coding, body, counts) in [
        (None, json.to_vec(), true),
        (None, marked.clone(), true),
        (Some("gzip"), gzip(json), true),
        (Some("X-GZIP"), gzip(&marked), true),
        (Some("identity"), json.to_vec(), true),
        (Some("gzip"), gzip(br#"{"ok":false}"#), false),
        // Some servers say gzip of what is none.
        (Some("gzip"), json.to_vec(), true),
        (Some("gzip"), gzip(json)[..20].to_vec(), false),
        (Some("gzip"), gzip(&vec![b' '; 1 << 20]), false),
        (Some("br"), json.to_vec(), false),
    ] {
        let mut answer = Answer::status(200).body(body);
        if let Some(coding) = coding {
            answer = answer.header("content-encoding", coding);
        }
        let receiver = Receiver::always(answer).await;
        let mut relay = Setup::to(&receiver, &format!("success: $.ok == true, {UNFORGIVING}")).start().await;
        let id = relay.webhook(reveal(1)).accepted().await;
        relay.wait_for_metric("waiting", &[CRM], 0).await;
        let delivery = relay.stored().delivery(&id);
        assert_eq!(delivery.state, if counts { "delivered" } else { "dead" }, "{coding:?}: {delivery:?}");
        relay.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_can_be_read_is_asked_for_and_what_is_kept_can_be_read() {
    let receiver = Receiver::always(Answer::status(400).header("content-encoding", "gzip").body(gzip(b"no such contact"))).await;
    for (keys, asked) in
        [("", None), ("headers: { accept-encoding: gzip }", Some("gzip")), ("headers: { accept-encoding: 'br, gzip' }", Some("identity"))]
    {
        let comma = if keys.is_empty() { "" } else { ", " };
        let mut relay = Setup::new(one_destination(&receiver.url("/crm"), &format!("{UNFORGIVING}{comma}{keys}"))).start().await;
        receiver.forget();
        let id = relay.webhook(reveal(1)).accepted().await;
        relay.wait_for_outcome("dead", 1).await;
        assert_eq!(receiver.requests()[0].find_header("accept-encoding"), asked);
        assert_eq!(relay.stored().attempts(&id)[0].reply.as_deref(), Some(&b"no such contact"[..]));
        relay.kill();
    }
}
