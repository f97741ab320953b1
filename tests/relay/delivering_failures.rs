//! What becomes of a delivery that does not succeed at once.

use std::time::{Duration, Instant, SystemTime};

use crate::harness::setup::one_destination;
use crate::harness::{Answer, Receiver, Setup, eventually, free_address, reveal};

/// Retries at once, and a circuit that stays closed.
const PATIENT: &str = "timeout: 500ms, retry: { first: 5ms, factor: 1 }, circuit: { failures: 1000, cooldown: 1ms }";

#[tokio::test(flavor = "multi_thread")]
async fn passing_troubles_are_tried_again() {
    let troubles = [
        Answer::status(500),
        Answer::status(502),
        Answer::status(503),
        Answer::status(599),
        Answer::status(429),
        Answer::status(408),
        Answer::status(425),
        Answer::Hang,
        Answer::ResetMidRequest,
        Answer::CutHead,
        Answer::CutBody(500),
    ];
    let count = u32::try_from(troubles.len()).unwrap();
    let receiver = Receiver::answering(troubles).await;
    let relay = Setup::to(&receiver, PATIENT).start().await;
    // So long that it cannot have been sent before the connection is reset.
    let id = relay.webhook(format!("{{\"filler\":\"{}\"}}", "x".repeat(900_000))).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    let delivery = relay.delivery(&id).await;
    assert_eq!((delivery.state, delivery.attempts, delivery.last_status, delivery.last_error), ("delivered", count + 1, Some(200), None));
    let attempts = relay.stored().attempts(&id);
    let statuses: Vec<_> = attempts.iter().map(|attempt| attempt.status.unwrap_or(0)).collect();
    assert_eq!(statuses, [500, 502, 503, 599, 429, 408, 425, 0, 0, 0, 500]);
    for (number, attempt) in (1..).zip(&attempts) {
        assert_eq!((attempt.number, attempt.error.is_some()), (number, attempt.status.is_none()), "{attempt:?}");
        assert!(attempt.error.as_ref().is_none_or(|error| !error.contains("127.0.0.1")), "an error names no URL: {attempt:?}");
    }
    assert!(attempts[7].error.as_ref().unwrap().contains("no answer within 500ms"), "{attempts:?}");
    let metrics = relay.metrics().await;
    let attempts = |result| metrics.get("attempts_total", &[("destination", "crm"), ("result", result)]);
    assert_eq!((attempts("retried"), attempts("delivered"), attempts("dead")), (u64::from(count), 1, 0));
    relay.finish().await;
    assert_eq!(receiver.count(), 12, "one request an attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_not_there_is_tried_until_it_is() {
    let address = free_address();
    let relay = Setup::new(one_destination(&format!("http://{address}/"), PATIENT));
    let mut relay = relay.start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    eventually("some attempts", async || (relay.metric("attempt_seconds_count", &[("destination", "crm")]).await > 3).then_some(())).await;
    let attempts = eventually("attempts in the store", async || {
        let attempts = relay.stored().attempts(&id);
        (!attempts.is_empty()).then_some(attempts)
    })
    .await;
    assert!(attempts[0].error.as_ref().unwrap().contains("cannot connect"), "{attempts:?}");
    assert_eq!(attempts[0].status, None);
    let receiver = Receiver::on_listener(tokio::net::TcpListener::bind(address).await.unwrap());
    relay.watch(&receiver);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_cut_off_after_its_status_counts_by_the_status() {
    let receiver = Receiver::answering([Answer::CutBody(200)]).await;
    let relay = Setup::to(&receiver, PATIENT).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("delivered", 1).await;
    assert_eq!(relay.delivery(&id).await.attempts, 1);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_reply_does_not_hold_up_a_lane() {
    let receiver = Receiver::scripted(|_, number| Answer::EndlessBody(if number < 2 { 200 } else { 500 })).await;
    let relay = Setup::to(&receiver, "timeout: 2s, concurrency: 1, retry: { attempts: 1 }").start().await;
    for number in 0..3 {
        relay.webhook(reveal(number)).accepted().await;
    }
    relay.wait_for_outcome("delivered", 2).await;
    relay.wait_for_outcome("dead", 1).await;
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_will_never_please_is_dead_at_once() {
    for status in [400, 402, 404, 405, 409, 413, 422, 451, 304] {
        let receiver = Receiver::always(Answer::status(status).body("no, thank you")).await;
        let relay = Setup::to(&receiver, PATIENT).start().await;
        let id = relay.webhook(reveal(1)).accepted().await;
        relay.wait_for_outcome("dead", 1).await;
        let delivery = relay.delivery(&id).await;
        assert_eq!((delivery.state, delivery.attempts, delivery.last_status), ("dead", 1, Some(status)));
        assert!(delivery.last_error.unwrap().contains(&status.to_string()));
        let attempts = relay.stored().attempts(&id);
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0].reply.as_deref(), if status == 304 { Some(&b""[..]) } else { Some(&b"no, thank you"[..]) });
        assert_eq!(relay.metric("dead_letters", &[("destination", "crm")]).await, 1);
        assert_eq!(relay.metric("circuit_open", &[("destination", "crm")]).await, 0);
        relay.finish().await;
        assert_eq!(receiver.count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_never_followed() {
    let elsewhere = Receiver::start().await;
    for status in [301, 302, 303, 307, 308] {
        let receiver = Receiver::always(Answer::status(status).header("location", elsewhere.url("/stolen"))).await;
        let relay = Setup::to(&receiver, PATIENT).start().await;
        let id = relay.webhook(reveal(1)).accepted().await;
        relay.wait_for_outcome("dead", 1).await;
        let delivery = relay.delivery(&id).await;
        assert!(delivery.last_error.unwrap().contains("redirects are not followed"));
        relay.finish().await;
        assert_eq!(receiver.count(), 1);
    }
    assert_eq!(elsewhere.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_attempts_is_dead_with_every_attempt_recorded() {
    let receiver = Receiver::scripted(|request, _| {
        let echoed = request.find_header("authorization").unwrap_or_default();
        Answer::status(500).body(format!("you sent {echoed} {}", "y".repeat(5000)))
    })
    .await;
    let keys = "headers: { authorization: 'Bearer ${TOKEN}' }, retry: { attempts: 3, first: 5ms }";
    let relay = Setup::to(&receiver, keys).env("TOKEN", "s3cret-token").start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    let delivery = relay.delivery(&id).await;
    assert_eq!((delivery.state, delivery.attempts), ("dead", 3));
    assert_eq!(delivery.last_error.unwrap(), "given up after 3 attempts, the last: status 500");
    let attempts = relay.stored().attempts(&id);
    assert_eq!(attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2, 3]);
    for attempt in attempts {
        let reply = String::from_utf8(attempt.reply.unwrap()).unwrap();
        assert!(reply.starts_with("you sent Bearer ${TOKEN} yyyy"), "{reply}");
        assert!((900..=1024).contains(&reply.len()), "{}", reply.len());
    }
    relay.finish().await;
    assert_eq!(receiver.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_last_attempts_are_kept() {
    let receiver = Receiver::always(Answer::status(500)).await;
    let keys = "retry: { attempts: 25, first: 1ms, factor: 1 }, circuit: { failures: 1000, cooldown: 1ms }";
    let relay = Setup::to(&receiver, keys).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    let numbers: Vec<_> = relay.stored().attempts(&id).iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, (6..=25).collect::<Vec<_>>());
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_deadline_is_dead() {
    let receiver = Receiver::always(Answer::status(500)).await;
    let keys = "retry: { attempts: 1000, first: 100ms, factor: 1, deadline: 1s }, circuit: { failures: 1000, cooldown: 1ms }";
    let relay = Setup::to(&receiver, keys).start().await;
    let id = relay.webhook(reveal(1)).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    let delivery = relay.delivery(&id).await;
    assert_eq!(delivery.last_error.unwrap(), "given up at the deadline of 1s, the last: status 500");
    assert!((2..1000).contains(&delivery.attempts), "{}", delivery.attempts);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_holds_the_whole_destination_back() {
    for (status, by_date) in [(429, false), (503, false), (429, true), (503, true)] {
        // A date is as early as it is, however long the relay takes to start.
        let (date, at_date) = http_date(4);
        let retry_after = if by_date { date } else { "2".to_owned() };
        let receiver = Receiver::answering([Answer::status(status).header("retry-after", &retry_after)]).await;
        let relay = Setup::to(&receiver, "concurrency: 1, retry: { first: 1ms }").start().await;
        relay.webhook(reveal(1)).accepted().await;
        receiver.wait_for(1).await;
        relay.wait_for_metric("attempts_total", &[("destination", "crm"), ("result", "retried")], 1).await;
        // These have not been refused, and wait all the same.
        for number in 2..5 {
            relay.webhook(reveal(number)).accepted().await;
        }
        relay.finish().await;
        let requests = receiver.requests();
        assert_eq!(requests.len(), 5);
        let earliest = if by_date { at_date } else { requests[0].at + Duration::from_millis(1900) };
        assert!(requests[1].at >= earliest, "{status} {retry_after}: {:?} too early", earliest - requests[1].at);
    }
}

/// This many seconds from now, as RFC 9110 writes it, and a moment that is no later than that: a date has whole seconds.
fn http_date(seconds: u64) -> (String, Instant) {
    let now = SystemTime::now();
    let at = jiff::Timestamp::try_from(now + Duration::from_secs(seconds)).unwrap();
    let fraction = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    let moment = Instant::now() + Duration::from_secs(seconds) - Duration::from_nanos(fraction.into()) - Duration::from_millis(10);
    (jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap(), moment)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absurd_retry_after_is_capped_by_the_longest_wait() {
    let receiver = Receiver::answering([Answer::status(429).header("retry-after", "400000000")]).await;
    let relay = Setup::to(&receiver, "retry: { first: 1ms, max: 1s }").start().await;
    let started = Instant::now();
    relay.webhook(reveal(1)).accepted().await;
    relay.finish().await;
    assert!(started.elapsed() >= Duration::from_millis(900));
    assert_eq!(receiver.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_time_in_retry_after_does_not_hold_the_destination_for_the_longest_wait() {
    let soon = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 2;
    for time in [soon.to_string(), (soon * 1000).to_string(), "4000000000".to_owned()] {
        let receiver = Receiver::answering([Answer::status(429).header("retry-after", &time)]).await;
        // Held for an hour, it would not be delivered while the test waits.
        let relay = Setup::to(&receiver, "retry: { first: 1ms, max: 1h }").start().await;
        relay.webhook(reveal(1)).accepted().await;
        relay.wait_for_outcome("delivered", 1).await;
        assert_eq!(receiver.count(), 2, "{time}");
        relay.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_rendered_is_dead_and_nothing_is_sent() {
    let receiver = Receiver::start().await;
    let keys = "body: { name: '{{ data.nickname }}' }";
    let relay = Setup::to(&receiver, keys).start().await;
    let id = relay.webhook(r#"{"data":{"id":1}}"#).accepted().await;
    relay.wait_for_outcome("dead", 1).await;
    let delivery = relay.delivery(&id).await;
    assert_eq!((delivery.state, delivery.attempts, delivery.last_status), ("dead", 1, None));
    let reason = delivery.last_error.unwrap();
    assert!(reason.contains("cannot be made") && reason.contains("data.nickname"), "{reason}");
    // One that can be rendered is not held up by it.
    relay.webhook(r#"{"data":{"id":2,"nickname":"ann"}}"#).accepted().await;
    relay.finish().await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].json(), serde_json::json!({"name": "ann"}));
}
