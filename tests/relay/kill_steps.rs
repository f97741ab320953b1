//! kill -9 at every step of an event's path, chosen and not by chance: the process ends inside the system call, or
//! the moment its request arrives.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::harness::{Answer, Faults, Receiver, Setup, eventually, reveal};

/// When the trap is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// Before the webhook is posted: it springs in its commit.
    Webhook,
    /// As the delivery's request arrives: it springs in the commit of its outcome.
    Request,
    /// Before SIGTERM: it springs as the log is moved into the file.
    End,
}

struct Step {
    when: When,
    /// The rule of the fault; nothing is a SIGKILL from outside.
    rule: &'static str,
    /// Whether what was being written is there after a SIGKILL. (After a power cut, what was not synced may not be.)
    written: bool,
}

const fn step(when: When, rule: &'static str, written: bool) -> Step {
    Step { when, rule, written }
}

const STEPS: [Step; 19] = [
    step(When::Webhook, "write relay.db-wal kill-before", false),
    step(When::Webhook, "write relay.db-wal torn", false),
    step(When::Webhook, "write relay.db-wal kill-after", false), // The first of several writes.
    step(When::Webhook, "sync relay.db-wal kill-before", true),
    step(When::Webhook, "sync relay.db-wal kill-after", true), // After the commit, before the answer.
    step(When::Request, "", false),
    step(When::Request, "write relay.db-wal kill-before", false),
    step(When::Request, "write relay.db-wal torn", false),
    step(When::Request, "write relay.db-wal kill-after", false),
    step(When::Request, "sync relay.db-wal kill-before", true),
    step(When::Request, "sync relay.db-wal kill-after", true),
    step(When::End, "sync relay.db-wal kill-before", true),
    step(When::End, "write relay.db kill-before", true),
    step(When::End, "write relay.db torn", true),
    step(When::End, "write relay.db kill-after", true),
    step(When::End, "sync relay.db kill-before", true),
    step(When::End, "sync relay.db kill-after", true),
    step(When::End, "truncate relay.db-wal kill-before", true),
    step(When::End, "truncate relay.db-wal kill-after", true),
];

#[tokio::test(flavor = "multi_thread")]
async fn at_no_step_does_kill_9_lose_an_event() {
    // CONTRIBUTING.md tells how to have more.
    let rounds: u64 = std::env::var("KILL_ROUNDS").map_or(1, |rounds| rounds.parse::<u64>().unwrap().div_ceil(19));
    let Some(faults) = Faults::new() else { return };
    let (trap, process) = (Arc::new(Mutex::new(None::<&'static str>)), Arc::new(AtomicU32::new(0)));
    let receiver = {
        let (faults, trap, process) = (faults.clone(), Arc::clone(&trap), Arc::clone(&process));
        let script = move |_: &crate::harness::Request, _: usize| {
            match trap.lock().unwrap().take() {
                None => {}
                Some("") => {
                    let id = process.load(Ordering::SeqCst).to_string();
                    assert!(Command::new("kill").args(["-KILL", &id]).status().unwrap().success());
                }
                Some(rule) => faults.inject(rule),
            }
            Answer::status(200)
        };
        Receiver::scripted(script).await
    };
    let mut relay = Setup::to(&receiver, "").with(&faults).start().await;
    let (mut events, mut repeated) = (0, 0);
    for step in (0..rounds).flat_map(|_| &STEPS) {
        let place = format!("{:?} {}", step.when, step.rule);
        let body = reveal(events);
        events += 1;
        process.store(relay.id(), Ordering::SeqCst);
        match step.when {
            When::Webhook => {
                faults.inject(step.rule);
                let answer = relay.webhook(body.clone()).try_send().await;
                assert!(answer.is_err(), "{place}: it was answered: {answer:?}");
            }
            When::Request => {
                *trap.lock().unwrap() = Some(step.rule);
                // The answer is on its way before the request is; whether it arrives is chance.
                let _ = relay.webhook(body.clone()).try_send().await;
            }
            When::End => {
                relay.webhook(body.clone()).accepted().await;
                relay.wait_for_metric("waiting", &[("destination", "crm")], 0).await;
                faults.inject(step.rule);
                relay.send_terminate();
            }
        }
        let status = relay.ended().await;
        assert_eq!(status.code(), None, "{place}: it was not killed but ended with {status}\n{}", relay.log());
        faults.clear();
        relay.start_again().await;
        relay.rests().await; // So that the next trap is not sprung by anything but what it is set for.
        relay.metrics().await.assert_conserved();
        relay.stored().assert_sound();
        relay.audit().await;

        // Wiza repeats what got no answer, and it is stored once.
        let reply = relay.webhook(body).send().await;
        let stored_before = step.when != When::Webhook || step.written;
        assert_eq!((reply.status, reply.word().as_str()), (200, if stored_before { "duplicate" } else { "accepted" }), "{place}");
        relay.wait_for_metric("waiting", &[("destination", "crm")], 0).await;
        let name = format!("{}_crm", reply.id());
        let requests = receiver.requests().iter().filter(|request| request.webhook_id() == name).count();
        let expected = if step.when == When::Request && !step.written { 2 } else { 1 };
        assert_eq!(requests, expected, "{place}: requests for {name}");
        repeated += requests - 1;
        let metrics = relay.metrics().await;
        metrics.assert_conserved();
        assert_eq!(metrics.get("planned_total", &[("destination", "crm")]), events, "{place}");
        // The first commit in an empty log syncs the log's header too, and the trap is not for that one.
        relay.webhook(reveal(events)).accepted().await;
        events += 1;
        relay.wait_for_metric("waiting", &[("destination", "crm")], 0).await;
    }
    println!("{} kills at {} steps, {events} events, 0 lost, {repeated} requests repeated", events / 2, STEPS.len());
    eventually("all is written down", async || (relay.stored().events() == events).then_some(())).await;
    relay.finish().await;
}
