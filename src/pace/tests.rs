//! A lane's pace over simulated days: a destination with moods, and what must hold whatever they are.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::delivery::{AttemptResult, DestinationKey, Member};
use crate::event::Event;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// What a destination does with a request.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Well,
    /// 503.
    Down,
    /// 429, with so many seconds.
    Throttles(u32),
    /// 429, without a time.
    ThrottlesSilently,
    /// 401.
    RefusesCredentials,
    /// 400.
    RefusesEvents,
    /// 410.
    Gone,
    /// No answer in time.
    Hangs,
}

/// A request that is under way.
struct UnderWay {
    claim: Claim,
    began: Instant,
    mood: Mood,
}

/// A lane without a task: what the tests check stands in `begin` and `end`.
struct Lane {
    pace: Pace,
    limits: Limits,
    now: Instant,
    start: Instant,
    /// Moods by the second from which they last.
    moods: Vec<(Duration, Mood)>,
    latencies: Vec<Duration>,
    due: BinaryHeap<Reverse<(Instant, i64, u32)>>,
    under_way: BTreeMap<(Instant, u64), UnderWay>,
    requests: u64,
    delivered: Vec<i64>,
    dead: Vec<i64>,
    /// Beginnings that count against the rate.
    begun: Vec<Instant>,
    /// The longest rest that a reply has asked for, and whether no attempt has begun since.
    rest_until: Option<Instant>,
    restarting: bool,
}

impl Lane {
    fn new(limits: Limits, moods: Vec<(Duration, Mood)>, latencies: Vec<Duration>) -> Self {
        let start = Instant::now();
        Self {
            pace: Pace::new(limits.clone(), start),
            limits,
            now: start,
            start,
            moods,
            latencies,
            due: BinaryHeap::new(),
            under_way: BTreeMap::new(),
            requests: 0,
            delivered: Vec::new(),
            dead: Vec::new(),
            begun: Vec::new(),
            rest_until: None,
            restarting: false,
        }
    }

    fn clock(&self) -> Timestamp {
        let epoch: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        epoch + (self.now - self.start)
    }

    fn mood(&self) -> Mood {
        let elapsed = self.now - self.start;
        self.moods.iter().rev().find(|(from, _)| *from <= elapsed).map_or(Mood::Well, |(_, mood)| *mood)
    }

    /// Takes what is due.
    fn claim(&mut self, at_most: usize) -> Vec<Claim> {
        let mut claims = Vec::new();
        while claims.len() < at_most && self.due.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
            let Some(Reverse((_, sequence, made))) = self.due.pop() else { break };
            claims.push(claim(sequence, made, self.clock()));
        }
        claims
    }

    fn begin(&mut self, claim: Claim) {
        let circuit = self.pace.circuit(self.now, self.clock());
        assert!(self.under_way.len() < self.limits.concurrency, "more at the same time than `concurrency`");
        assert!(matches!(circuit, CircuitState::Closed | CircuitState::Open { .. }), "an attempt while {circuit:?}");
        if let CircuitState::Open { until, .. } = circuit {
            assert!(until <= self.clock(), "an attempt before the cooldown is over");
            assert!(self.under_way.is_empty(), "a probe beside another attempt");
        }
        if let Some(until) = self.rest_until {
            assert!(self.now >= until, "an attempt during a rest");
            assert!(!self.restarting || self.under_way.is_empty(), "the first after a rest goes beside others");
        }
        self.restarting = false;
        self.begun.push(self.now);
        self.within_rate();
        self.pace.begun(self.now);
        self.requests += 1;
        let latency = self.latencies[usize::try_from(self.requests).unwrap() % self.latencies.len()];
        self.under_way.insert((self.now + latency, self.requests), UnderWay { claim, began: self.now, mood: self.mood() });
    }

    /// No span that ends now has more beginnings than the burst and what the rate allows in it.
    fn within_rate(&self) {
        let Some(limit) = self.limits.rate else { return };
        for (earlier, began) in self.begun.iter().rev().enumerate().take(50) {
            let seconds = (self.now - *began).as_secs_f64();
            let allowed = f64::from(limit.burst.get()) + seconds * f64::from(limit.count.get()) / limit.per.as_secs_f64();
            assert!((earlier + 1) as f64 <= allowed + 1e-6, "{} beginnings within {seconds} s", earlier + 1);
        }
    }

    fn end(&mut self, under_way: UnderWay) {
        let UnderWay { claim, began, mood } = under_way;
        let clock = self.clock();
        let replied = |status, after: Option<u32>| AttemptResult::Replied {
            status,
            retry_after: after.map(|seconds| clock + seconds * SECOND),
            reply: Bytes::new(),
            shortcoming: None,
        };
        let result = match mood {
            Mood::Well => replied(200, None),
            Mood::Down => replied(503, None),
            Mood::Throttles(seconds) => replied(429, Some(seconds)),
            Mood::ThrottlesSilently => replied(429, None),
            Mood::RefusesCredentials => replied(401, None),
            Mood::RefusesEvents => replied(400, None),
            Mood::Gone => replied(410, None),
            Mood::Hangs => AttemptResult::Failed(FailureReason::Timeout, "no answer in time".to_owned()),
        };
        let attempt = Attempt { started_at: clock, latency: self.now - began, result };
        let jitter = (self.requests * 7919 % 1000) as f64 / 1000.0;
        let seen = Seen { attempt: &attempt, attempts_made: claim.attempts_made, since: claim.oldest(), jitter };
        let judged = self.pace.saw(seen, claim.events().map(|(_, event)| event.id), self.now, clock);
        if let Mood::Throttles(seconds) = mood {
            let until = self.now + seconds * SECOND;
            self.rest_until = Some(self.rest_until.map_or(until, |known| known.max(until)));
            self.restarting = true;
        }
        for sequence in claim.events().map(|(sequence, _)| sequence) {
            match &judged.outcome {
                Outcome::Delivered => self.delivered.push(sequence),
                Outcome::Dead(_) => self.dead.push(sequence),
                Outcome::Retry(at) => {
                    let at = self.now + until_then(*at, clock);
                    self.due.push(Reverse((at, sequence, judged.attempts)));
                }
            }
        }
    }

    /// Until nothing is left. Each step begins something, ends something, or goes on to a later time.
    fn run(&mut self) {
        let mut idle_steps = 0;
        let longest = self.start + 3000 * HOUR;
        while !(self.due.is_empty() && self.under_way.is_empty() && self.pace.gathering.is_empty()) {
            assert!(self.now < longest, "something starves: {:?}", self.pace);
            idle_steps += 1;
            assert!(idle_steps < 10, "it goes round without getting on: {:?}", self.pace);
            if let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let ended = entry.remove();
                self.end(ended);
                idle_steps = 0;
                continue;
            }
            let decision = self.pace.next(self.now, self.under_way.len());
            assert_eq!(decision, self.pace.next(self.now, self.under_way.len()), "asked twice");
            let next_due = self.due.peek().map(|Reverse((at, ..))| *at);
            let sleep_until = match decision {
                Decision::Claim(at_most) => {
                    let claims = self.claim(at_most);
                    if !claims.is_empty() {
                        claims.into_iter().for_each(|claim| self.begin(claim));
                        idle_steps = 0;
                        continue;
                    }
                    next_due
                }
                Decision::Gather { room, until } => {
                    assert!(room > 0 && until.is_none_or(|until| until > self.now));
                    let claims = self.claim(room);
                    if !claims.is_empty() {
                        self.pace.gather(claims, self.now);
                        idle_steps = 0;
                        continue;
                    }
                    next_due.into_iter().chain(until).min()
                }
                Decision::SendBatch => {
                    let mut claims = self.pace.take_batch();
                    let mut leader = claims.remove(0);
                    let member = |claim: Claim| Member { sequence: claim.sequence, event: claim.event, route: None, since: claim.since };
                    leader.batch = Some(claims.into_iter().map(member).collect());
                    self.begin(leader);
                    idle_steps = 0;
                    continue;
                }
                Decision::GiveBack => {
                    let given = self.pace.take_all();
                    assert!(!given.is_empty() && self.limits.expires);
                    self.due.extend(given.into_iter().map(|claim| Reverse((self.now, claim.sequence, claim.attempts_made))));
                    continue;
                }
                Decision::WaitUntil(until) => {
                    assert!(until > self.now, "a wait that is over");
                    Some(until)
                }
                Decision::AllUnderWay => {
                    assert!(!self.under_way.is_empty(), "it waits for an end, and nothing is under way");
                    None
                }
                Decision::Paused { .. } if self.under_way.is_empty() => {
                    // Somebody resumes it, an hour later.
                    self.now += HOUR;
                    self.pace.adopt(Standing::default(), self.now, self.clock());
                    (self.rest_until, self.restarting) = (None, false);
                    idle_steps = 0;
                    continue;
                }
                Decision::Paused { .. } => None,
            };
            let next_end = self.under_way.keys().next().map(|(at, _)| *at);
            let next = sleep_until.into_iter().chain(next_end).min().expect("it sleeps for ever, and something is left");
            if next > self.now {
                idle_steps = 0;
            }
            self.now = self.now.max(next);
        }
    }
}

fn claim(sequence: i64, attempts_made: u32, now: Timestamp) -> Claim {
    let id = EventId::from_bytes(u128::try_from(sequence).unwrap().to_be_bytes());
    let event = Event::new(id, now, String::new(), String::new(), Bytes::new());
    Claim {
        sequence,
        event: Arc::new(event),
        destination: DestinationKey(0),
        route: None,
        order: None,
        attempts_made,
        since: now,
        receipt: crate::delivery::Receipt::default(),
        batch: None,
    }
}

fn limits() -> Limits {
    let (circuit, retry) = (Circuit::default(), Retry::default());
    Limits { concurrency: 4, rate: None, circuit, retry, batch: None, expires: false }
}

fn rate(count: u32, per: Duration, burst: u32) -> Option<RateLimit> {
    Some(RateLimit { count: NonZeroU32::new(count).unwrap(), per, burst: NonZeroU32::new(burst).unwrap() })
}

/// What happens to one lane.
#[derive(Debug)]
struct Story {
    limits: Limits,
    moods: Vec<(Duration, Mood)>,
    latencies: Vec<Duration>,
    arrivals: Vec<Duration>,
}

fn story() -> impl Strategy<Value = Story> {
    let mood = prop_oneof![
        3 => Just(Mood::Well),
        2 => Just(Mood::Down),
        3 => (0u32..90).prop_map(Mood::Throttles),
        1 => Just(Mood::ThrottlesSilently),
        1 => Just(Mood::RefusesCredentials),
        1 => Just(Mood::RefusesEvents),
        1 => Just(Mood::Gone),
        1 => Just(Mood::Hangs),
    ];
    let seconds = |up_to: u64| (0..up_to).prop_map(Duration::from_secs);
    let rate = prop_oneof![
        Just(None),
        (1u32..20, prop_oneof![Just(SECOND), Just(60 * SECOND), Just(HOUR)], 1u32..5)
            .prop_map(|(count, per, burst)| rate(count, per, burst))
    ];
    let batch = prop_oneof![
        2 => Just(None),
        1 => (1usize..6, 1u64..30).prop_map(|(max, every)| Some(Batch { max, every: Duration::from_secs(every), body: None }))
    ];
    let circuit = (1u32..6, 0u32..6, 1u64..120).prop_map(|(failures, refusals, cooldown)| Circuit {
        failures,
        refusals,
        cooldown: Duration::from_secs(cooldown),
    });
    let retry = (1u32..20, 1u64..30).prop_map(|(attempts, first)| Retry {
        attempts,
        first: Duration::from_secs(first),
        max: 100 * SECOND,
        ..Retry::default()
    });
    let limits = (1usize..6, rate, batch, circuit, retry, any::<bool>())
        .prop_map(|(concurrency, rate, batch, circuit, retry, expires)| Limits { concurrency, rate, circuit, retry, batch, expires });
    let moods = proptest::collection::vec((seconds(10_000), mood), 0..12).prop_map(|mut moods| {
        moods.sort_by_key(|(from, _)| *from);
        // It is well in the end, or nothing could be said of starving.
        moods.push((Duration::from_secs(10_000), Mood::Well));
        moods
    });
    let latencies = proptest::collection::vec((1u64..8000).prop_map(Duration::from_millis), 1..8);
    let arrivals = proptest::collection::vec(seconds(10_000), 1..120);
    (limits, moods, latencies, arrivals).prop_map(|(limits, moods, latencies, arrivals)| Story { limits, moods, latencies, arrivals })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Never above the rate or the concurrency, one probe at a time, no attempt during a rest, one attempt after it, no step that gets
    /// nowhere, and everything ends, once.
    #[test]
    fn whatever_a_destination_does(story in story()) {
        let Story { limits, moods, latencies, arrivals } = story;
        let mut lane = Lane::new(limits, moods, latencies);
        for (sequence, at) in arrivals.iter().enumerate() {
            lane.due.push(Reverse((lane.start + *at, i64::try_from(sequence).unwrap(), 0)));
        }
        lane.run();
        let mut ended: Vec<i64> = lane.delivered.iter().chain(&lane.dead).copied().collect();
        ended.sort_unstable();
        prop_assert_eq!(ended, (0..i64::try_from(arrivals.len()).unwrap()).collect::<Vec<_>>());
    }
}

/// One event every ten minutes.
fn over_days(limits: Limits, moods: Vec<(Duration, Mood)>, days: u32) -> Lane {
    let mut lane = Lane::new(limits, moods, vec![SECOND / 5]);
    let events = days * 24 * 6;
    lane.due.extend((0..events).map(|number| Reverse((lane.start + number * 600 * SECOND, i64::from(number), 0))));
    lane.run();
    lane
}

#[test]
fn a_week_with_a_nights_outage_costs_no_event_and_few_probes() {
    let moods = vec![(Duration::ZERO, Mood::Well), (50 * HOUR, Mood::Down), (58 * HOUR, Mood::Well)];
    let lane = over_days(limits(), moods, 7);
    assert_eq!((lane.delivered.len(), lane.dead.len()), (7 * 24 * 6, 0));
    let during = lane.begun.iter().filter(|at| (50 * HOUR..58 * HOUR).contains(&(**at - lane.start))).count();
    assert!(during <= 8 * 120 + 10, "{during} requests in eight hours, with a cooldown of 30 s");
}

#[test]
fn a_wrong_token_for_two_days_costs_no_event() {
    let moods = vec![(Duration::ZERO, Mood::RefusesCredentials), (48 * HOUR, Mood::Well)];
    let lane = over_days(limits(), moods, 4);
    assert_eq!((lane.delivered.len(), lane.dead.len()), (4 * 24 * 6, 0));
}

#[test]
fn a_rate_holds_over_days_also_right_after_a_pause() {
    let limits = Limits { rate: rate(2, HOUR, 1), ..limits() };
    let lane = over_days(limits, Vec::new(), 3);
    assert_eq!(lane.delivered.len(), 3 * 24 * 6);
    assert!(lane.begun.windows(2).all(|pair| pair[1] - pair[0] >= HOUR / 2), "evenly spaced");
    // Two that come at once after a quiet day are spaced too.
    let mut lane = Lane::new(Limits { rate: rate(2, HOUR, 1), ..self::limits() }, Vec::new(), vec![SECOND]);
    lane.due.extend([1, 2].map(|sequence| Reverse((lane.start + 24 * HOUR, sequence, 0))));
    lane.pace.next(lane.start, 0);
    lane.run();
    assert_eq!(lane.begun[1] - lane.begun[0], HOUR / 2);
}

#[test]
fn a_limiter_over_a_day_is_sent_to_at_its_pace() {
    // Ten seconds of every minute it throttles, for a day.
    let mut moods = Vec::new();
    for minute in 0..24 * 60 {
        moods.push((minute * 60 * SECOND, Mood::Well));
        moods.push((minute * 60 * SECOND + 50 * SECOND, Mood::Throttles(10)));
    }
    let mut lane = Lane::new(limits(), moods, vec![SECOND / 5]);
    lane.due.extend((0..20_000).map(|number| Reverse((lane.start + u32::try_from(number).unwrap() * 4 * SECOND, number, 0))));
    lane.run();
    assert_eq!((lane.delivered.len(), lane.dead.len()), (20_000, 0));
    assert!(lane.requests < 22_000, "{}", lane.requests);
}

#[test]
fn what_gathers_goes_back_where_it_may_expire_and_nothing_may_be_sent() {
    let batch = Some(Batch { max: 3, every: 5 * SECOND, body: None });
    let mut pace = Pace::new(Limits { batch, expires: true, ..limits() }, Instant::now());
    let (now, clock) = (Instant::now(), Timestamp::now());
    assert_eq!(pace.next(now, 0), Decision::Gather { room: 3, until: None });
    pace.gather(vec![claim(1, 0, clock)], now);
    assert_eq!(pace.next(now, 0), Decision::Gather { room: 2, until: Some(now + 5 * SECOND) });
    pace.adopt(Standing { circuit: CircuitState::Paused, hold_until: None }, now, clock);
    assert_eq!(pace.next(now, 0), Decision::GiveBack);
    assert_eq!(pace.take_all().len(), 1);
    assert_eq!(pace.next(now, 0), Decision::Paused { rest_until: None });
}

#[test]
fn a_batch_that_could_not_be_written_is_tried_again_a_little_later() {
    let (now, clock) = (Instant::now(), Timestamp::now());
    let mut pace = Pace::new(Limits { batch: Some(Batch { max: 1, every: SECOND, body: None }), ..limits() }, now);
    pace.gather(vec![claim(1, 0, clock)], now);
    assert_eq!(pace.next(now, 0), Decision::SendBatch);
    let claims = pace.take_batch();
    pace.put_back(claims, now);
    assert_eq!(pace.next(now, 0), Decision::WaitUntil(now + BATCH_FAILURE_PAUSE));
    assert_eq!(pace.next(now + BATCH_FAILURE_PAUSE, 0), Decision::SendBatch);
}

#[test]
fn new_settings_keep_a_rate_limit_that_stays_and_give_back_what_no_longer_gathers() {
    let (now, clock) = (Instant::now(), Timestamp::now());
    let batch = Some(Batch { max: 2, every: SECOND, body: None });
    let slow = Limits { rate: rate(1, HOUR, 1), ..limits() };
    let mut pace = Pace::new(Limits { batch: batch.clone(), ..slow.clone() }, now);
    pace.begun(now);
    assert!(pace.configure(Limits { batch, ..slow.clone() }, now).is_empty());
    pace.gather(vec![claim(1, 0, clock), claim(2, 0, clock)], now);
    assert_eq!(pace.next(now, 0), Decision::WaitUntil(now + HOUR), "the same limit goes on");
    assert_eq!(pace.configure(slow, now).len(), 2);
    assert_eq!(pace.next(now, 0), Decision::WaitUntil(now + HOUR));
    assert!(pace.configure(limits(), now).is_empty());
    assert_eq!(pace.next(now, 1), Decision::Claim(3));
}

#[test]
fn a_rest_is_kept_where_it_has_grown_by_enough_and_shown_where_it_has_changed() {
    let (now, clock) = (Instant::now(), Timestamp::now());
    let mut pace = Pace::new(limits(), now);
    let mut saw = |seconds: f64| {
        let retry_after = Some(clock + Duration::from_secs_f64(seconds));
        let result = AttemptResult::Replied { status: 429, retry_after, reply: Bytes::new(), shortcoming: None };
        let attempt = Attempt { started_at: clock, latency: SECOND, result };
        let judged = pace.saw(Seen { attempt: &attempt, attempts_made: 0, since: clock, jitter: 0.5 }, [], now, clock);
        (judged.changed, judged.keep)
    };
    assert_eq!(saw(10.0), (true, true));
    assert_eq!(saw(10.0), (false, false));
    assert_eq!(saw(10.5), (true, false));
    assert_eq!(saw(12.0), (true, true));
    assert_eq!(pace.standing(now, clock).hold_until, Some(clock + 12 * SECOND));
    assert_eq!(pace.next(now, 0), Decision::WaitUntil(now + 12 * SECOND));
    assert!(pace.rests());
    assert_eq!(pace.next(now + 12 * SECOND, 0), Decision::Claim(1));
    assert!(!pace.rests());
}
