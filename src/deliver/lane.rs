//! One destination's lane: takes due deliveries within the destination's limits, attempts them side by side, judges
//! each attempt and settles it. A lane's troubles (a breaker that is open, a hold, a rate limit, attempts that hang)
//! are known to nobody else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::LaneSettings;
use super::attempt::{self, Attempted};
use super::gather::{Due, Gathering};
use super::news::{Concluded, LaneNews};
use crate::circuit::{Breaker, CircuitState, OpenedBy, Permission, Standing};
use crate::config::RateLimit;
use crate::delivery::{AttemptResult, Claim, DestinationKey, FailureReason, Outcome, Settlement};
use crate::event::EventId;
use crate::fault;
use crate::metrics::DestinationMetrics;
use crate::pace::{Pace, Room};
use crate::retry::{self, Progress, Verdict};
use crate::store::Store;
use crate::traces::{AttemptRecord, Traces};
use crate::vitals::Vitals;

/// How long a lane sleeps at most before it looks again whether it may send.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// The pause after a batch could not be written down.
const BATCH_FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// A hold that grows by less is not written down anew: many replies say nearly the same.
const HOLD_STEP: Duration = Duration::from_secs(1);

pub(super) struct Lane {
    key: DestinationKey,
    store: Arc<dyn Store>,
    metrics: DestinationMetrics,
    vitals: Arc<Vitals>,
    traces: Traces,
    news: LaneNews,
    settings: watch::Receiver<LaneSettings>,
    /// What the store keeps of the two below, and what somebody has set by hand.
    standing: watch::Receiver<Standing>,
    stop: CancellationToken,
    breaker: Breaker,
    limiter: Option<Limiter>,
    /// Its rests, and how fast it is sent to after one.
    pace: Pace,
    in_flight: JoinSet<Attempted>,
    gathering: Gathering,
    /// A batch could not be written; it is tried again then.
    batches_paused_until: Option<Instant>,
}

/// Who learns what a lane does.
pub(super) struct Observers {
    pub metrics: DestinationMetrics,
    pub vitals: Arc<Vitals>,
    pub traces: Traces,
    pub news: LaneNews,
}

/// A rate limit and whether a token of it is in hand.
struct Limiter {
    limit: RateLimit,
    tokens: DefaultDirectRateLimiter,
    token_in_hand: bool,
}

/// What a lane may do now.
enum Next {
    /// Claim up to this many.
    Claim(usize),
    /// Claim up to this many for a batch that goes at this time, if it has begun.
    Gather(usize, Option<Instant>),
    /// Send the batch that has gathered.
    SendBatch,
    /// Wait for this time, or for an attempt to end, or for new settings.
    Wait(Option<Instant>),
}

impl Lane {
    pub fn new(
        key: DestinationKey,
        store: Arc<dyn Store>,
        observers: Observers,
        settings: watch::Receiver<LaneSettings>,
        stop: CancellationToken,
    ) -> Self {
        let Observers { metrics, vitals, traces, news } = observers;
        let breaker = Breaker::new(settings.borrow().destination.circuit);
        let standing = store.standing(key);
        let mut lane = Self {
            key,
            store,
            metrics,
            vitals,
            traces,
            news,
            settings,
            standing,
            stop,
            breaker,
            limiter: None,
            pace: Pace::default(),
            in_flight: JoinSet::new(),
            gathering: Gathering::default(),
            batches_paused_until: None,
        };
        lane.take_settings();
        lane.take_standing();
        let circuit = lane.breaker.state(Instant::now(), Timestamp::now());
        lane.news.started(&lane.settings.borrow().destination.name, circuit);
        lane
    }

    /// Runs until stopped; then waits for what is in flight.
    pub async fn run(mut self) {
        while !self.stop.is_cancelled() {
            fault::point("lane");
            let next = self.next(Instant::now());
            let (free, until) = match next {
                Next::Claim(free) => (free, None),
                Next::Gather(room, until) => (room, until),
                Next::Wait(until) => (0, until),
                Next::SendBatch => {
                    self.send_batch().await;
                    continue;
                }
            };
            let sleep = until.unwrap_or_else(|| Instant::now() + SLEEP_MAX);
            tokio::select! {
                biased;
                Some(ended) = self.in_flight.join_next(), if !self.in_flight.is_empty() => {
                    self.conclude(ended).await;
                    // All others that ended meanwhile, so that one claim fills all their places.
                    while let Some(ended) = self.in_flight.try_join_next() {
                        self.conclude(ended).await;
                    }
                }
                () = self.stop.cancelled() => break,
                changed = self.settings.changed() => match changed {
                    Ok(()) => self.take_settings(),
                    Err(_) => break,
                },
                Ok(()) = self.standing.changed() => {
                    self.take_standing();
                    let circuit = self.breaker.state(Instant::now(), Timestamp::now());
                    self.news.set_by_hand(&self.settings.borrow().destination.name, circuit);
                    // Whoever resumes a destination wants to see whether it is back, and not whether an old connection is.
                    self.settings.borrow().sender.begin_anew();
                }
                claims = self.store.claim(self.key, free), if free > 0 => self.take(claims),
                () = tokio::time::sleep_until(sleep.into()), if free == 0 || until.is_some() => {}
            }
        }
        // A destination without a lane is held back by nothing but that.
        self.metrics.standing(CircuitState::Closed, false);
        // They are in the store, and go on after the next start, or when the destination comes back.
        self.store.release(self.gathering.take_all());
        while let Some(ended) = self.in_flight.join_next().await {
            self.conclude(ended).await;
        }
    }

    /// How many deliveries may be claimed now, or until when none may.
    fn next(&mut self, now: Instant) -> Next {
        if self.pace.wake(now) {
            self.show_standing();
        }
        let permission = self.breaker.permission(now);
        if matches!(permission, Permission::NotBefore(_) | Permission::NotBeforeResumed) {
            self.let_go_of_what_expires();
        }
        let concurrency = match permission {
            Permission::Free => self.settings.borrow().destination.concurrency,
            Permission::Probe => 1,
            Permission::NotBefore(until) => return Next::Wait(Some(self.pace.rests_until().map_or(until, |rest| rest.min(until)))),
            Permission::NotBeforeResumed => return Next::Wait(self.pace.rests_until()),
        };
        let free = match self.pace.room(now, self.in_flight.len(), concurrency) {
            Room::Attempts(free) => free,
            Room::NotBefore(until) => return Next::Wait(Some(until)),
        };
        if free == 0 {
            return Next::Wait(None);
        }
        let destination = Arc::clone(&self.settings.borrow().destination);
        if let Some(batch) = &destination.batch {
            let until = match self.gathering.due(batch, now) {
                Due::Now => match self.batches_paused_until {
                    Some(until) if now < until => return Next::Wait(Some(until)),
                    _ => return self.token(now).map_or_else(|at| Next::Wait(Some(at)), |()| Next::SendBatch),
                },
                Due::At(at) => Some(at),
                Due::Never => None,
            };
            return Next::Gather(self.gathering.room(batch), until);
        }
        match self.token(now) {
            Ok(()) if self.limiter.is_some() => Next::Claim(1),
            Ok(()) => Next::Claim(free),
            Err(at) => Next::Wait(Some(at)),
        }
    }

    /// What gathers for a batch is claimed, and the store leaves that alone. While nothing may be sent it goes back, so that the store
    /// can end it in time.
    fn let_go_of_what_expires(&mut self) {
        if self.settings.borrow().destination.expire.is_some() {
            let gathered = self.gathering.take_all();
            if !gathered.is_empty() {
                self.store.release(gathered);
            }
        }
    }

    /// Makes sure that the rate limit, if there is one, allows one more request, or says when it will.
    fn token(&mut self, now: Instant) -> Result<(), Instant> {
        self.limiter.as_mut().map_or(Ok(()), |limiter| limiter.token(now))
    }

    fn take_settings(&mut self) {
        let destination = Arc::clone(&self.settings.borrow_and_update().destination);
        self.breaker.configure(destination.circuit, Instant::now());
        match destination.rate_limit {
            None => self.limiter = None,
            Some(limit) if self.limiter.as_ref().is_some_and(|limiter| limiter.limit == limit) => {}
            Some(limit) => self.limiter = Some(Limiter::new(limit)),
        }
        if destination.batch.is_none() {
            self.store.release(self.gathering.take_all());
        }
    }

    /// Takes over what the store kept, or what somebody has just set by hand.
    fn take_standing(&mut self) {
        let Standing { circuit, hold_until } = *self.standing.borrow_and_update();
        let (now, clock) = (Instant::now(), Timestamp::now());
        self.breaker.adopt(circuit, now, clock);
        let longest = self.settings.borrow().destination.retry.max;
        self.pace.adopt(hold_until.filter(|until| *until > clock).and_then(|until| now.checked_add(until_then(until, clock).min(longest))));
        self.show_standing();
    }

    fn show_standing(&self) {
        let circuit = self.breaker.state(Instant::now(), Timestamp::now());
        self.metrics.standing(circuit, self.pace.rests_until().is_some());
    }

    /// Lets the store keep how the destination stands.
    async fn note_standing(&self) {
        let (now, clock) = (Instant::now(), Timestamp::now());
        let hold_until = self.pace.rests_until().and_then(|until| clock.checked_add(until.saturating_duration_since(now)).ok());
        let standing = Standing { circuit: self.breaker.state(now, clock), hold_until };
        if let Err(error) = self.store.note_standing(self.key, standing).await {
            tracing::warn!(%error, "how a destination stands is not kept over a restart");
        }
    }

    /// Attempts what was claimed, or lets it gather.
    fn take(&mut self, claims: Vec<Claim>) {
        if self.settings.borrow().destination.batch.is_some() {
            self.gathering.add(claims, Instant::now());
            return;
        }
        for claim in claims {
            self.begin(claim);
        }
    }

    /// Writes down who goes together, and sends them. A batch that was written before goes as it is.
    async fn send_batch(&mut self) {
        let destination = Arc::clone(&self.settings.borrow().destination);
        let Some(batch) = &destination.batch else { return };
        let claims = self.gathering.take(batch);
        if let [claim] = claims.as_slice()
            && claim.batch.is_some()
        {
            return self.begin(claim.clone());
        }
        match self.store.form_batch(claims.clone()).await {
            Ok(Some(formed)) => self.begin(formed),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "a batch cannot be written down, so it is not sent yet");
                let now = Instant::now();
                self.gathering.put_back(claims, now);
                self.batches_paused_until = now.checked_add(BATCH_FAILURE_PAUSE);
            }
        }
    }

    fn begin(&mut self, claim: Claim) {
        if let Some(limiter) = &mut self.limiter {
            limiter.token_in_hand = false;
        }
        self.pace.begun(Instant::now());
        let settings = self.settings.borrow().clone();
        self.in_flight.spawn(attempt::watched(settings, claim, self.traces.clone(), Arc::clone(&self.vitals)));
        self.metrics.begun();
    }

    /// Says in figures, logs and traces what an attempt led to. `event` names it.
    fn tell(
        &self,
        destination: &str,
        route: &str,
        event: EventId,
        settlement: &Settlement,
        failure: Option<FailureReason>,
        record: Option<Box<AttemptRecord>>,
    ) {
        let Settlement { attempt, outcome, .. } = settlement;
        if let (AttemptResult::Withheld(reason), Outcome::Dead(_)) = (&attempt.result, outcome) {
            tracing::warn!(event_id = %event, destination, route, reason, "a delivery was given up without another attempt");
            return; // Nothing was attempted.
        }
        self.metrics.attempt(failure, outcome, attempt.latency);
        attempt::log(destination, route, event, settlement, record.as_ref().map(|record| record.span()));
        if let Some(record) = record {
            self.traces.attempted(*record, destination, route, settlement);
        }
    }

    /// Judges an attempt and writes its outcome down.
    async fn conclude(&mut self, ended: Result<Attempted, tokio::task::JoinError>) {
        self.metrics.ended();
        let Attempted { claim, event, route, attempt, record, left_out } = match ended {
            Ok(attempted) => attempted,
            Err(error) => {
                // The runtime is being shut down: the delivery is attempted again after the next start.
                tracing::error!(%error, "an attempt was cut off");
                return;
            }
        };
        let destination = Arc::clone(&self.settings.borrow().destination);
        let now = Timestamp::now();
        let attempts = claim.attempts_made.saturating_add(1);
        let (credentials_trusted, refuses_all) = (self.breaker.credentials_trusted(), self.breaker.refuses_all());
        let progress = Progress { attempts, since: claim.oldest(), now, credentials_trusted, refuses_all, jitter: rand::random() };
        let Verdict { outcome, hold_until, signal, counts, failure } = retry::judge(&destination.retry, &attempt, progress);
        let held_before = self.pace.rests_until();
        let instant = Instant::now();
        if let Some(until) = hold_until.and_then(|until| instant.checked_add(until_then(until, now))) {
            self.pace.rest(until, destination.retry.max, instant);
        }
        self.pace.ended(hold_until.is_none() && attempt.result.status().is_some(), instant);
        let attempts = if counts { attempts } else { claim.attempts_made };
        let reasons = left_out.iter().map(|one| (one.sequence, one.reason.clone())).collect();
        let mut settlement = Settlement { claim, attempt, outcome, attempts, left_out: reasons };
        let before = self.breaker.state(instant, now);
        let changed = self.breaker.record(signal, settlement.events().map(|event| event.id), instant);
        if (changed || self.pace.rests_until() != held_before) && !self.stop.is_cancelled() {
            self.show_standing();
        }
        let circuit = self.breaker.state(instant, now);
        if (before.label(), before.opened_by()) != (circuit.label(), circuit.opened_by()) {
            let opened_by = circuit.opened_by().map(OpenedBy::label);
            tracing::warn!(destination = %destination.name, circuit = circuit.label(), opened_by, "circuit breaker");
        }
        if settlement.outcome == Outcome::Delivered {
            settlement.events().for_each(|event| self.metrics.arrived(now.duration_since(event.received_at)));
        }
        for mut one in left_out {
            let (event, route, record) = (one.event.id, Arc::clone(&one.route), one.record.take());
            let of = Arc::clone(&one.event);
            let settlement = one.settlement(&settlement);
            if let Outcome::Dead(reason) = &settlement.outcome {
                self.news.died(&destination.name, &of, settlement.attempt.result.failure(), reason, None);
            }
            self.tell(&destination.name, &route, event, &settlement, settlement.attempt.result.failure(), record);
        }
        self.tell(&destination.name, &route, event, &settlement, failure, record);
        settlement.keep(destination.replies, failure);
        self.news.concluded(&destination.name, &settlement, &Concluded { failure, signal, circuit });
        self.store.settle(settlement).await;
        let held_longer = self.pace.rests_until().is_some_and(|until| held_before.is_none_or(|before| until >= before + HOLD_STEP));
        if changed || held_longer {
            self.note_standing().await;
        }
    }
}

/// The time from `now` to `then`; nothing where it is over.
fn until_then(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default()
}

impl Limiter {
    fn new(limit: RateLimit) -> Self {
        // A period of 0 is refused when the file is read; a nanosecond would be the same as no limit.
        let period = (limit.per / limit.count.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(period).unwrap_or_else(|| Quota::per_second(limit.count)).allow_burst(limit.burst);
        Self { limit, tokens: RateLimiter::direct(quota), token_in_hand: false }
    }

    /// Makes sure that a token is in hand, or says when there will be one. A token that was taken and not used is
    /// kept, so that waiting for work costs no rate.
    fn token(&mut self, now: Instant) -> Result<(), Instant> {
        if !self.token_in_hand {
            if let Err(refused) = self.tokens.check() {
                return Err(now + refused.wait_time_from(DefaultClock::default().now()));
            }
            self.token_in_hand = true;
        }
        Ok(())
    }
}
