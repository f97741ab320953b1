//! One destination's lane: takes due deliveries within the destination's limits, attempts them side by side, judges
//! each attempt and settles it. A lane's troubles (a breaker that is open, a hold, a rate limit, attempts that hang)
//! are known to nobody else.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::LaneSettings;
use super::attempt::{self, Attempted};
use super::news::{Concluded, LaneNews};
use crate::chance;
use crate::circuit::{CircuitState, OpenedBy, Standing};
use crate::clock;
use crate::delivery::{AttemptResult, Claim, DestinationKey, FailureReason, Outcome, Settlement};
use crate::event::EventId;
use crate::fault;
use crate::metrics::DestinationMetrics;
use crate::pace::{Decision, Judged, Limits, Pace, Seen};
use crate::store::{Ownership, Store};
use crate::traces::{AttemptRecord, Traces};
use crate::vitals::Vitals;

/// How long a lane sleeps at most before it looks again whether it may send.
const SLEEP_MAX: Duration = Duration::from_secs(60);

pub(super) struct Lane {
    key: DestinationKey,
    store: Arc<dyn Store>,
    metrics: DestinationMetrics,
    vitals: Arc<Vitals>,
    traces: Traces,
    news: LaneNews,
    settings: watch::Receiver<LaneSettings>,
    /// How the destination stood as the store kept it, and what somebody has set by hand.
    standing: watch::Receiver<Standing>,
    stop: CancellationToken,
    pace: Pace,
    in_flight: JoinSet<Attempted>,
}

/// Why a lane claims no more.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Stopped,
    /// Another relay may own the destination now.
    NotOwner,
}

/// Who learns what a lane does.
pub(super) struct Observers {
    pub metrics: DestinationMetrics,
    pub vitals: Arc<Vitals>,
    pub traces: Traces,
    pub news: LaneNews,
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
        let pace = Pace::new(Limits::from(&*settings.borrow().destination), clock::steady());
        let standing = store.standing(key);
        let mut lane = Self { key, store, metrics, vitals, traces, news, settings, standing, stop, pace, in_flight: JoinSet::new() };
        lane.take_standing();
        let circuit = lane.pace.circuit(clock::steady(), clock::wall());
        lane.news.started(&lane.settings.borrow().destination.name, circuit);
        lane
    }

    /// Runs until stopped, whenever this relay owns the destination; then waits for what is in flight.
    pub async fn run(mut self) {
        let (store, stop) = (Arc::clone(&self.store), self.stop.clone());
        loop {
            let ownership = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                ownership = store.own(self.key) => ownership,
            };
            let ended = self.work(ownership).await;
            // They are in the store, and go on after the next start, with the next owner, or when the destination comes back.
            self.store.release(self.pace.take_all());
            if ended == Ended::Stopped {
                break;
            }
            tracing::warn!(destination = %self.settings.borrow().destination.name, "this relay no longer owns a destination");
            self.finish().await;
        }
        // A destination without a lane is held back by nothing but that.
        self.metrics.standing(CircuitState::Closed, false);
        self.finish().await;
    }

    /// Waits for what is in flight.
    async fn finish(&mut self) {
        while let Some(ended) = self.in_flight.join_next().await {
            self.conclude(ended).await;
        }
    }

    /// Claims and sends until it is stopped, or does not own the destination any more.
    async fn work(&mut self, mut ownership: Ownership) -> Ended {
        while !self.stop.is_cancelled() {
            fault::point("lane");
            let rested = self.pace.rests();
            let decision = self.pace.next(clock::steady(), self.in_flight.len());
            if rested && !self.pace.rests() {
                self.show_standing();
            }
            let (free, until) = match decision {
                Decision::Claim(free) => (free, None),
                Decision::Gather { room, until } => (room, until),
                Decision::WaitUntil(until) => (0, Some(until)),
                Decision::Paused { rest_until } => (0, rest_until),
                Decision::AllUnderWay => (0, None),
                Decision::SendBatch => {
                    self.send_batch().await;
                    continue;
                }
                Decision::GiveBack => {
                    self.store.release(self.pace.take_all());
                    continue;
                }
            };
            let sleep = until.unwrap_or_else(|| clock::steady() + SLEEP_MAX);
            tokio::select! {
                biased;
                Some(ended) = self.in_flight.join_next(), if !self.in_flight.is_empty() => {
                    self.conclude(ended).await;
                    // All others that ended meanwhile, so that one claim fills all their places.
                    self.conclude_ended().await;
                }
                () = self.stop.cancelled() => break,
                () = ownership.lost() => return Ended::NotOwner,
                changed = self.settings.changed() => match changed {
                    Ok(()) => self.take_settings(),
                    Err(_) => break,
                },
                Ok(()) = self.standing.changed() => {
                    self.take_standing();
                    let circuit = self.pace.circuit(clock::steady(), clock::wall());
                    self.news.set_by_hand(&self.settings.borrow().destination.name, circuit);
                    // Whoever resumes a destination wants to see whether it is back, and not whether an old connection is.
                    self.settings.borrow().sender.begin_anew();
                }
                claims = self.store.claim(self.key, free), if free > 0 => self.take(claims),
                () = tokio::time::sleep_until(sleep.into()), if free == 0 || until.is_some() => {}
            }
        }
        Ended::Stopped
    }

    /// Takes new settings.
    fn take_settings(&mut self) {
        let limits = Limits::from(&*self.settings.borrow_and_update().destination);
        self.store.release(self.pace.configure(limits, clock::steady()));
    }

    /// Takes over what the store kept, or what somebody has just set by hand.
    fn take_standing(&mut self) {
        let standing = *self.standing.borrow_and_update();
        self.pace.adopt(standing, clock::steady(), clock::wall());
        self.show_standing();
    }

    fn show_standing(&self) {
        let circuit = self.pace.circuit(clock::steady(), clock::wall());
        self.metrics.standing(circuit, self.pace.rests());
    }

    /// Lets the store keep how the destination stands.
    async fn note_standing(&self) {
        let standing = self.pace.standing(clock::steady(), clock::wall());
        if let Err(error) = self.store.note_standing(self.key, standing).await {
            tracing::warn!(%error, "how a destination stands is not kept over a restart");
        }
    }

    /// Attempts what was claimed, or lets it gather.
    fn take(&mut self, claims: Vec<Claim>) {
        if self.pace.gathers() {
            return self.pace.gather(claims, clock::steady());
        }
        for claim in claims {
            self.begin(claim);
        }
    }

    /// Writes down who goes together, and sends them. A batch that was written before goes as it is.
    async fn send_batch(&mut self) {
        let claims = self.pace.take_batch();
        if let [claim] = claims.as_slice()
            && claim.batch.is_some()
        {
            return self.begin(claim.clone());
        }
        match self.store.form_batch(claims.clone()).await {
            // Writing takes a while. What has ended meanwhile may forbid that it goes now, so the pace is asked again.
            Ok(Some(formed)) => {
                self.pace.gather(vec![formed], clock::steady());
                self.conclude_ended().await;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "a batch cannot be written down, so it is not sent yet");
                self.pace.put_back(claims, clock::steady());
            }
        }
    }

    fn begin(&mut self, claim: Claim) {
        self.pace.begun(clock::steady());
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
        if let (AttemptResult::Withheld(_, reason), Outcome::Dead(_)) = (&attempt.result, outcome) {
            tracing::warn!(event_id = %event, destination, route, reason, "a delivery was given up without another attempt");
            return; // Nothing was attempted.
        }
        self.metrics.attempt(failure, outcome, attempt.latency);
        attempt::log(destination, route, event, settlement, record.as_ref().map(|record| record.span()));
        if let Some(record) = record {
            self.traces.attempted(*record, destination, route, settlement);
        }
    }

    /// Judges each attempt that has ended, without waiting for others.
    async fn conclude_ended(&mut self) {
        while let Some(ended) = self.in_flight.try_join_next() {
            self.conclude(ended).await;
        }
    }

    /// Judges an attempt and writes its outcome down.
    async fn conclude(&mut self, ended: Result<Attempted, tokio::task::JoinError>) {
        self.metrics.ended();
        let Attempted { claim, event, route, mut attempt, record, left_out } = match ended {
            Ok(attempted) => attempted,
            Err(error) => {
                // The runtime is being shut down: the delivery is attempted again after the next start.
                tracing::error!(%error, "an attempt was cut off");
                return;
            }
        };
        let destination = Arc::clone(&self.settings.borrow().destination);
        let (now, clock) = (clock::steady(), clock::wall());
        let is_sent = |sequence: i64| left_out.iter().all(|left| left.sequence != sequence);
        let is_of_several = claim.events().filter(|(sequence, _)| is_sent(*sequence)).nth(1).is_some();
        let refused = self.pace.parts_for(&attempt).filter(|_| is_of_several);
        if let Some(status) = refused {
            attempt.result = AttemptResult::NotTogether(format!("status {status} for the batch: its members go one by one"));
        }
        let sent = claim.events().filter(|(sequence, _)| is_sent(*sequence));
        let seen = Seen { attempt: &attempt, attempts_made: claim.attempts_made, since: claim.oldest(), jitter: chance::uniform() };
        let judged = self.pace.saw(seen, sent.map(|(_, event)| event.id), now, clock);
        let Judged { outcome, signal, failure, attempts, circuit, turned, changed, keep } = judged;
        let failure = refused.map_or(failure, |_| Some(FailureReason::ClientError));
        let reasons = left_out.iter().map(|one| (one.sequence, one.reason.clone())).collect();
        let mut settlement = Settlement { claim, attempt, outcome, attempts, left_out: reasons };
        if changed && !self.stop.is_cancelled() {
            self.show_standing();
        }
        if turned {
            let opened_by = circuit.opened_by().map(OpenedBy::label);
            tracing::warn!(destination = %destination.name, circuit = circuit.label(), opened_by, "circuit breaker");
        }
        if settlement.outcome == Outcome::Delivered {
            settlement.events().for_each(|event| self.metrics.arrived(clock.duration_since(event.received_at)));
        }
        for mut one in left_out {
            let (event, route, record) = (one.event.id, Arc::clone(&one.route), one.record.take());
            let of = Arc::clone(&one.event);
            let settlement = one.settlement(&settlement);
            let failure = settlement.attempt.result.failure();
            if let (Outcome::Dead(reason), Some(ending)) = (&settlement.outcome, settlement.ending(failure)) {
                self.metrics.given_up(ending, 1);
                self.news.died(&destination.name, &of, ending, reason, None);
            }
            self.tell(&destination.name, &route, event, &settlement, failure, record);
        }
        self.tell(&destination.name, &route, event, &settlement, failure, record);
        if let Some(ending) = settlement.ending(failure) {
            self.metrics.given_up(ending, settlement.events().count());
        }
        settlement.keep(destination.replies, failure);
        self.news.concluded(&destination.name, &settlement, &Concluded { failure, signal, circuit });
        self.store.settle(settlement).await;
        if keep {
            self.note_standing().await;
        }
    }
}
