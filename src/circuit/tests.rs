//! The breaker.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const COOLDOWN: Duration = Duration::from_secs(30);

fn breaker() -> Breaker {
    Breaker::new(Circuit { failures: 3, refusals: 4, cooldown: COOLDOWN })
}

#[test]
fn new_settings_allow_a_probe_at_once_but_resume_nothing() {
    let now = Instant::now();
    let mut breaker = breaker();
    for _ in 0..3 {
        breaker.record(Signal::Failure, [], now);
    }
    assert_eq!(breaker.permission(now), Permission::NotBefore(now + COOLDOWN));
    breaker.configure(Circuit { failures: 3, refusals: 4, cooldown: COOLDOWN * 2 }, now);
    assert_eq!(breaker.permission(now), Permission::Probe);
    breaker.record(Signal::Failure, [], now);
    assert_eq!(breaker.permission(now), Permission::NotBefore(now + COOLDOWN * 2));
    breaker.record(Signal::Gone, [], now);
    breaker.configure(Circuit { failures: 3, refusals: 4, cooldown: COOLDOWN }, now);
    assert_eq!(breaker.permission(now), Permission::NotBeforeResumed);
}

#[test]
fn it_opens_after_failures_in_a_row_only() {
    let (mut breaker, now) = (breaker(), Instant::now());
    for signal in [Signal::Failure, Signal::Failure, Signal::Success, Signal::Failure, Signal::Failure, Signal::Nothing] {
        breaker.record(signal, [], now);
        assert_eq!(breaker.permission(now), Permission::Free);
    }
    breaker.record(Signal::Failure, [], now);
    assert_eq!(breaker.permission(now), Permission::NotBefore(now + COOLDOWN));
    assert!(breaker.is_open());
}

#[test]
fn one_probe_a_cooldown_and_a_success_closes() {
    let (mut breaker, now) = (breaker(), Instant::now());
    breaker.record(Signal::Refused, [], now);
    let half_open = now + COOLDOWN;
    assert_eq!(breaker.permission(half_open), Permission::Probe);
    breaker.record(Signal::Failure, [], half_open);
    assert_eq!(breaker.permission(half_open), Permission::NotBefore(half_open + COOLDOWN));
    breaker.record(Signal::Success, [], half_open + COOLDOWN);
    assert_eq!(breaker.permission(half_open + COOLDOWN), Permission::Free);
    assert!(!breaker.is_open());
}

#[test]
fn a_straggler_does_not_prolong_the_rest() {
    let (mut breaker, now) = (breaker(), Instant::now());
    breaker.record(Signal::Refused, [], now);
    breaker.record(Signal::Failure, [], now + COOLDOWN / 2);
    assert_eq!(breaker.permission(now + COOLDOWN), Permission::Probe);
}

#[test]
fn a_refusal_ends_the_trust_in_the_credentials_until_the_next_success() {
    let (mut breaker, now) = (breaker(), Instant::now());
    assert!(!breaker.credentials_trusted());
    for (signal, trusted) in
        [(Signal::Success, true), (Signal::Failure, true), (Signal::Refused, false), (Signal::Failure, false), (Signal::Success, true)]
    {
        breaker.record(signal, [], now);
        assert_eq!(breaker.credentials_trusted(), trusted);
    }
}

#[test]
fn gone_stays_until_resumed() {
    let (mut breaker, now) = (breaker(), Instant::now());
    breaker.record(Signal::Gone, [], now);
    breaker.record(Signal::Success, [], now);
    assert_eq!(breaker.permission(now + COOLDOWN * 100), Permission::NotBeforeResumed);
    breaker.adopt(CircuitState::Closed, now, Timestamp::UNIX_EPOCH);
    assert_eq!(breaker.permission(now), Permission::Free);
}

#[test]
fn paused_stays_until_resumed_whatever_attempts_in_flight_say() {
    let (mut breaker, now) = (breaker(), Instant::now());
    breaker.adopt(CircuitState::Paused, now, Timestamp::UNIX_EPOCH);
    for signal in [Signal::Success, Signal::Failure, Signal::Refused, Signal::Gone] {
        assert!(!breaker.record(signal, [], now), "nothing to keep has changed");
        assert_eq!(breaker.permission(now + COOLDOWN * 100), Permission::NotBeforeResumed);
    }
    assert!(breaker.is_open());
}

#[test]
fn what_is_kept_and_taken_over_again_rests_as_long_as_was_left_and_a_cooldown_at_most() {
    let clock: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let (mut before, now) = (breaker(), Instant::now());
    assert!(before.record(Signal::Refused, [], now));
    let kept = before.state(now + COOLDOWN / 3, clock);
    assert_eq!(kept, CircuitState::Open { until: clock + COOLDOWN * 2 / 3, by: OpenedBy::Failures });
    for (later, rest) in [
        (jiff::SignedDuration::from_secs(5), COOLDOWN * 2 / 3 - Duration::from_secs(5)),
        (jiff::SignedDuration::from_secs(86_400), Duration::ZERO), // It was down for a day.
        (jiff::SignedDuration::from_secs(-86_400), COOLDOWN),      // The clock was set back meanwhile.
    ] {
        let mut after = breaker();
        after.adopt(kept, now, clock + later);
        assert!(after.is_open());
        assert_eq!(after.permission(now + rest), Permission::Probe);
        if !rest.is_zero() {
            assert_eq!(after.permission(now), Permission::NotBefore(now + rest));
        }
    }
}

#[test]
fn only_what_is_to_be_kept_counts_as_a_change() {
    let (mut breaker, now) = (breaker(), Instant::now());
    assert!(!breaker.record(Signal::Failure, [], now));
    assert!(!breaker.record(Signal::Success, [], now));
    assert!(breaker.record(Signal::Gone, [], now));
    assert!(!breaker.record(Signal::Success, [], now));
}

/// Ten hours of outage, every attempt a failure: how many were made?
#[test]
fn a_destination_that_is_down_for_ten_hours_gets_one_probe_a_cooldown() {
    let (mut breaker, start) = (breaker(), Instant::now());
    let hours = Duration::from_secs(10 * 60 * 60);
    let (mut now, mut attempts, mut last) = (start, 0_u32, None);
    while now < start + hours {
        match breaker.permission(now) {
            Permission::Free | Permission::Probe => {
                if let Some(last) = last.replace(now).filter(|_| breaker.is_open()) {
                    assert!(now - last >= COOLDOWN, "two probes within {:?}", now - last);
                }
                attempts += 1;
                breaker.record(Signal::Failure, [], now + Duration::from_millis(20));
                now += Duration::from_millis(20);
            }
            Permission::NotBefore(until) => now = until,
            Permission::NotBeforeResumed => panic!("nobody paused it"),
        }
    }
    let probes = u32::try_from(hours.as_secs() / COOLDOWN.as_secs()).unwrap();
    assert!((probes - 2..=probes + 3).contains(&attempts), "{attempts} attempts in {probes} cooldowns");
    breaker.record(Signal::Success, [], now);
    assert_eq!(breaker.permission(now), Permission::Free, "and the whole rate at once after the first success");
}

fn event(number: u8) -> EventId {
    EventId::from_bytes([number; 16])
}

/// A breaker that opened because four different events were refused.
fn opened_by_refusals(now: Instant) -> Breaker {
    let mut breaker = breaker();
    for number in 0..4 {
        assert!(!breaker.refuses_all());
        assert_eq!(breaker.record(Signal::Rejected, [event(number)], now), number == 3);
    }
    assert!(breaker.refuses_all());
    assert_eq!(breaker.permission(now), Permission::NotBefore(now + COOLDOWN));
    breaker
}

#[test]
fn it_opens_after_refusals_of_different_events_with_no_success_between_them() {
    let (mut breaker, now) = (breaker(), Instant::now());
    for number in [0, 1, 2, 2, 1, 0, 0] {
        breaker.record(Signal::Rejected, [event(number)], now);
        assert!(!breaker.is_open(), "the same three again are three");
    }
    breaker.record(Signal::Success, [event(9)], now);
    for number in 0..3 {
        breaker.record(Signal::Rejected, [event(number)], now);
        // None of these says that the destination takes events.
        for signal in [Signal::Failure, Signal::Nothing, Signal::Answered] {
            breaker.record(signal, [event(10 + number)], now);
        }
        assert!(!breaker.is_open());
    }
    assert!(breaker.record(Signal::Rejected, [event(3)], now));
    assert_eq!(breaker.state(now, Timestamp::UNIX_EPOCH).opened_by(), Some(OpenedBy::Refusals));
    opened_by_refusals(now);
}

#[test]
fn events_of_which_no_request_can_be_made_count_as_refused_and_say_nothing_else() {
    let (mut breaker, now) = (breaker(), Instant::now());
    breaker.record(Signal::Refused, [], now);
    for number in 0..3 {
        assert!(!breaker.record(Signal::Unmade, [event(number)], now + COOLDOWN));
        assert!(breaker.is_open() && !breaker.refuses_all() && !breaker.credentials_trusted());
    }
    assert!(breaker.record(Signal::Unmade, [event(3)], now + COOLDOWN));
    assert!(breaker.refuses_all());
}

#[test]
fn a_batch_counts_as_its_members_and_one_batch_alone_opens_nothing() {
    let (mut breaker, now) = (breaker(), Instant::now());
    assert!(!breaker.record(Signal::Rejected, (0..100).map(event), now), "one member may be what it is refused for");
    assert!(!breaker.record(Signal::Rejected, (0..100).map(event), now), "the same batch, redriven");
    assert!(breaker.record(Signal::Rejected, (100..200).map(event), now));
    let mut wants_one = Breaker::new(Circuit { failures: 3, refusals: 1, cooldown: COOLDOWN });
    assert!(wants_one.record(Signal::Rejected, (0..100).map(event), now));
}

#[test]
fn what_opened_by_refusals_stays_so_whatever_probes_say_until_one_arrives() {
    let now = Instant::now();
    let mut breaker = opened_by_refusals(now);
    assert!(!breaker.record(Signal::Rejected, [event(50)], now), "a straggler changes nothing");
    let mut probed = now + COOLDOWN;
    for signal in [Signal::Rejected, Signal::Failure, Signal::Refused, Signal::Answered, Signal::Unmade] {
        assert_eq!(breaker.permission(probed), Permission::Probe);
        assert!(breaker.record(signal, [event(51)], probed));
        assert_eq!(breaker.permission(probed), Permission::NotBefore(probed + COOLDOWN), "{signal:?}");
        assert!(breaker.refuses_all(), "{signal:?}");
        probed += COOLDOWN;
    }
    assert!(breaker.record(Signal::Success, [event(52)], probed));
    assert_eq!(breaker.permission(probed), Permission::Free);
    // And the count begins anew.
    for number in 0..3 {
        assert!(!breaker.record(Signal::Rejected, [event(number)], probed));
    }
}

#[test]
fn what_opened_by_refusals_is_kept_and_resumed_and_new_settings_let_a_probe_go() {
    let (now, clock) = (Instant::now(), Timestamp::UNIX_EPOCH);
    let kept = opened_by_refusals(now).state(now, clock);
    assert_eq!(kept, CircuitState::Open { until: clock + COOLDOWN, by: OpenedBy::Refusals });
    let mut after = breaker();
    after.adopt(kept, now, clock);
    assert!(after.refuses_all());
    after.configure(Circuit { failures: 3, refusals: 2, cooldown: COOLDOWN }, now);
    assert!(after.refuses_all());
    assert_eq!(after.permission(now), Permission::Probe);
    after.adopt(CircuitState::Closed, now, clock);
    assert!(!after.record(Signal::Rejected, [event(60)], now));
    assert!(after.record(Signal::Rejected, [event(61)], now));
}

#[test]
fn where_refusals_are_switched_off_they_never_open_it() {
    let (now, off) = (Instant::now(), Circuit { failures: 3, refusals: 0, cooldown: COOLDOWN });
    let mut never = Breaker::new(off);
    for number in 0..200 {
        assert!(!never.record(Signal::Rejected, [event(number)], now));
    }
    // One that is open for that is probed, and a refusal of the probe closes it.
    let mut opened = opened_by_refusals(now);
    opened.configure(off, now);
    assert!(!opened.refuses_all());
    assert_eq!(opened.permission(now), Permission::Probe);
    assert!(opened.record(Signal::Rejected, [event(1)], now));
    assert_eq!(opened.permission(now), Permission::Free);
    never.adopt(opened_by_refusals(now).state(now, Timestamp::UNIX_EPOCH), now, Timestamp::UNIX_EPOCH);
    assert!(never.is_open() && !never.refuses_all());
}

fn signals() -> impl Strategy<Value = Signal> {
    prop_oneof![
        4 => Just(Signal::Rejected), 1 => Just(Signal::Success), 1 => Just(Signal::Answered), 1 => Just(Signal::Unmade),
        1 => Just(Signal::Failure), 1 => Just(Signal::Refused), 1 => Just(Signal::Nothing),
    ]
}

proptest! {
    /// Whatever attempts say, in whatever order, and however many were on their way: between two successes no more events die of refusals
    /// than `refusals`. An event dies where a refusal is told while the breaker does not refuse all (`retry::judge` puts it back then).
    #[test]
    fn between_two_successes_no_more_events_are_lost_to_refusals_than_was_said(
        refusals in 1_u32..30,
        told in prop::collection::vec((signals(), any::<u8>(), 0_u64..40), 0..400),
    ) {
        let mut breaker = Breaker::new(Circuit { failures: 3, refusals, cooldown: COOLDOWN });
        let (mut now, mut lost) = (Instant::now(), BTreeSet::new());
        for (signal, number, wait) in told {
            now += Duration::from_secs(wait);
            if matches!(signal, Signal::Rejected | Signal::Unmade) && !breaker.refuses_all() {
                lost.insert(number);
            }
            breaker.record(signal, [event(number)], now);
            if signal == Signal::Success {
                lost.clear();
                prop_assert!(!breaker.is_open());
            }
            prop_assert!(lost.len() <= refusals as usize, "{} of {refusals}", lost.len());
            prop_assert_eq!(breaker.refuses_all(), lost.len() == refusals as usize);
        }
    }
}
