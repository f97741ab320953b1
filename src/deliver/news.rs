//! What a lane notes for the relay's own events: that deliveries were given up, that its breaker has opened or closed.

use crate::circuit::{CircuitState, OpenedBy, Signal};
use crate::clock;
use crate::delivery::{Ending, FailureReason, Outcome, Settlement};
use crate::event::{Event, EventSource};
use crate::own_events::{CircuitWatch, Death, Opening, Reporter, Turn};

/// A lane's notes. Deliveries of own events are left out, so that none is ever the cause of another.
pub(super) struct LaneNews {
    reporter: Reporter,
    circuit: CircuitWatch,
}

/// What came of an attempt, beside its settlement.
pub(super) struct Concluded {
    pub failure: Option<FailureReason>,
    pub signal: Signal,
    pub circuit: CircuitState,
}

impl LaneNews {
    pub fn new(reporter: Reporter) -> Self {
        Self { reporter, circuit: CircuitWatch::default() }
    }

    /// The breaker is as it was kept. If it was open, that was told when it opened.
    pub fn started(&mut self, destination: &str, circuit: CircuitState) {
        self.circuit.adopt(circuit, true);
        if circuit != CircuitState::Closed {
            self.reporter.was_open(destination);
        }
    }

    /// Somebody has set the breaker by hand.
    pub fn set_by_hand(&mut self, destination: &str, circuit: CircuitState) {
        let turn = self.circuit.adopt(circuit, false);
        self.note(destination, turn, circuit, None, None);
    }

    /// An attempt has ended. Of its reply only that is left which is to be kept.
    pub fn concluded(&mut self, destination: &str, settlement: &Settlement, concluded: &Concluded) {
        let Concluded { failure, signal, circuit } = concluded;
        let status = settlement.attempt.result.status();
        if let (Outcome::Dead(reason), Some(ending)) = (&settlement.outcome, settlement.ending(*failure)) {
            for event in settlement.events() {
                self.died(destination, event, ending, reason, status);
            }
        }
        let is_own = settlement.events().all(|event| event.source() == EventSource::Relay);
        let failed = match signal {
            Signal::Failure | Signal::Refused | Signal::Gone | Signal::Rejected | Signal::Unmade => true,
            Signal::Success | Signal::Answered | Signal::Nothing => false,
        };
        let turn = self.circuit.conclude(is_own, failed, *circuit);
        self.note(destination, turn, *circuit, *failure, status);
    }

    /// A delivery was given up.
    pub fn died(&self, destination: &str, event: &Event, ending: Ending, reason: &str, status: Option<u16>) {
        if event.source() == EventSource::Wiza {
            let death = Death { events: (event.id, event.id), count: 1, reason: ending.label(), detail: reason.to_owned(), status };
            self.reporter.died(destination, death);
        }
    }

    fn note(&self, destination: &str, turn: Option<Turn>, circuit: CircuitState, failure: Option<FailureReason>, status: Option<u16>) {
        let opened_by = match circuit {
            CircuitState::Open { by, .. } => by.label(),
            CircuitState::Gone => "gone",
            CircuitState::Closed | CircuitState::Paused => OpenedBy::Failures.label(),
        };
        if let Some(turn) = turn {
            self.reporter.circuit(destination, turn, Opening { opened_by, reason: label(failure), status, at: clock::wall() });
        }
    }
}

fn label(failure: Option<FailureReason>) -> &'static str {
    failure.unwrap_or(FailureReason::Internal).label()
}
