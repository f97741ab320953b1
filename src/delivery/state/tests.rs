use std::fmt::Write as _;
use std::path::Path;

use super::*;

/// The delivery that the examples are of.
pub(crate) const EVENT: i64 = 5;
/// The leader of the batch that it is in.
pub(crate) const LEADER: i64 = 3;
const DUE: i64 = 1_000;
const LATER: i64 = 2_000;

/// Every state.
pub(crate) const STATES: [State; 7] = [
    State::Waiting,
    State::Due { at: DUE },
    State::Leading { at: DUE },
    State::Held,
    State::Member { leader: LEADER },
    State::Delivered { went: Went::With { leader: LEADER } },
    State::Dead { went: Went::Leading },
];

/// Every transition, and when it happens.
pub(crate) const TRANSITIONS: [(Transition, &str); 16] = [
    (Transition::Deliver, "the destination has accepted it"),
    (Transition::Retry { at: LATER }, "an attempt has failed and another one follows"),
    (Transition::Die, "an attempt has failed and none follows"),
    (Transition::Hold, "another delivery of its order key has to end first"),
    (Transition::Release { at: LATER }, "nothing of its order key is before it any more"),
    (Transition::Unhold, "the relay has started: its turn is found out again"),
    (Transition::Lead { at: LATER }, "a batch is formed, and it is the first"),
    (Transition::Join { leader: LEADER }, "a batch is formed, and another is the first"),
    (Transition::Part { at: LATER }, "the batch cannot go as one request"),
    (Transition::LeaveOut, "the batch goes without it"),
    (Transition::TakeOver { at: LATER }, "its leader has ended alone, and it is the next"),
    (Transition::Follow { leader: 4 }, "its leader has ended alone, and another is the next"),
    (Transition::BringForward { by: 300, now: 500 }, "the clock was set back"),
    (Transition::GiveUp, "it has expired, or its destination was held back for too long"),
    (Transition::Redrive { at: LATER }, "an operator takes it up again"),
    (Transition::RedriveHeld, "the same, and another of its order key has to end first"),
];

/// The same transitions from the same states, by hand: what is not named is refused.
const EXPECTED: [[&str; 7]; 16] = [
    // from:          waiting      due          leading      held    member       delivered  dead
    /* deliver */
    ["delivered", "delivered", "delivered", "-", "delivered", "-", "-"],
    /* retry */ ["due", "due", "leading", "-", "member", "-", "-"],
    /* die */ ["dead", "dead", "dead", "-", "dead", "-", "-"],
    /* hold */ ["held", "-", "-", "-", "-", "-", "-"],
    /* release */ ["due", "-", "-", "due", "-", "-", "-"],
    /* unhold */ ["-", "-", "-", "waiting", "-", "-", "-"],
    /* lead */ ["leading", "leading", "-", "-", "-", "-", "-"],
    /* join */ ["member", "member", "-", "-", "-", "-", "-"],
    /* part */ ["-", "-", "leading", "-", "leading", "-", "-"],
    /* leave out */ ["-", "-", "-", "-", "dead", "-", "-"],
    /* take over */ ["-", "-", "-", "-", "leading", "-", "-"],
    /* follow */ ["-", "-", "-", "-", "member", "-", "-"],
    /* bring forward */ ["-", "due", "leading", "-", "-", "-", "-"],
    /* give up */ ["dead", "dead", "dead", "dead", "dead", "-", "-"],
    /* redrive */ ["-", "-", "-", "-", "-", "-", "due"],
    /* redrive held */ ["-", "-", "-", "-", "-", "-", "held"],
];

/// Where the lists above have these; a new state or transition does not compile before it has a place here, and so in the lists.
fn places(state: State, transition: Transition) -> (usize, usize) {
    let state = match state {
        State::Waiting => 0,
        State::Due { .. } => 1,
        State::Leading { .. } => 2,
        State::Held => 3,
        State::Member { .. } => 4,
        State::Delivered { .. } => 5,
        State::Dead { .. } => 6,
    };
    let transition = match transition {
        Transition::Deliver => 0,
        Transition::Retry { .. } => 1,
        Transition::Die => 2,
        Transition::Hold => 3,
        Transition::Release { .. } => 4,
        Transition::Unhold => 5,
        Transition::Lead { .. } => 6,
        Transition::Join { .. } => 7,
        Transition::Part { .. } => 8,
        Transition::LeaveOut => 9,
        Transition::TakeOver { .. } => 10,
        Transition::Follow { .. } => 11,
        Transition::BringForward { .. } => 12,
        Transition::GiveUp => 13,
        Transition::Redrive { .. } => 14,
        Transition::RedriveHeld => 15,
    };
    (state, transition)
}

#[test]
fn every_transition_from_every_state_is_allowed_or_refused_as_the_table_says() {
    for (column, state) in STATES.into_iter().enumerate() {
        for (row, (transition, _)) in TRANSITIONS.into_iter().enumerate() {
            assert_eq!(places(state, transition), (column, row), "the lists are in the order of their variants");
            let (expected, after) = (EXPECTED[row][column], state.after(transition));
            assert_eq!(after.map_or("-", State::name), expected, "{} from {}", transition.name(), state.name());
            if let Err(refused) = after {
                assert_eq!(refused, Refused { from: state, transition });
                let words = format!("a delivery that is {} cannot {}", state.name(), transition.name());
                assert_eq!(refused.to_string(), words);
            }
        }
    }
}

#[test]
fn a_final_outcome_is_final_and_only_a_redrive_takes_a_dead_one_up_again() {
    for (transition, _) in TRANSITIONS {
        for went in [Went::Alone, Went::Leading, Went::With { leader: LEADER }] {
            assert!(State::Delivered { went }.after(transition).is_err(), "{transition:?}");
            let redriven = matches!(transition, Transition::Redrive { .. } | Transition::RedriveHeld);
            assert_eq!(State::Dead { went }.after(transition).is_ok(), redriven, "{transition:?}");
        }
    }
}

/// So nothing can stay for ever: whatever happened to a delivery, something leads from there to an outcome.
#[test]
fn from_every_state_without_an_outcome_a_delivery_can_still_be_delivered_and_can_be_given_up() {
    for state in STATES.into_iter().filter(|state| !state.is_final()) {
        assert_eq!(state.after(Transition::GiveUp), Ok(State::Dead { went: Went::Alone }));
        let one_step = TRANSITIONS.into_iter().filter_map(|(transition, _)| state.after(transition).ok());
        let deliver = |state: State| matches!(state.after(Transition::Deliver), Ok(State::Delivered { .. }));
        assert!(deliver(state) || one_step.into_iter().any(deliver), "{state:?}");
    }
}

#[test]
fn a_final_outcome_says_in_which_request_it_went() {
    let delivered = |state: State| state.after(Transition::Deliver);
    assert_eq!(delivered(State::Waiting), Ok(State::Delivered { went: Went::Alone }));
    assert_eq!(delivered(State::Leading { at: DUE }), Ok(State::Delivered { went: Went::Leading }));
    assert_eq!(delivered(State::Member { leader: 7 }), Ok(State::Delivered { went: Went::With { leader: 7 } }));
    assert_eq!(State::Member { leader: 7 }.after(Transition::LeaveOut), Ok(State::Dead { went: Went::Alone }));
}

#[test]
fn a_clock_that_is_set_back_brings_forward_what_is_due_later_and_nothing_else() {
    let by = Transition::BringForward { by: 3_600_000, now: 10_000 };
    assert_eq!(State::Due { at: 3_610_000 }.after(by), Ok(State::Due { at: 10_000 }));
    assert_eq!(State::Due { at: 10_000 }.after(by), Ok(State::Due { at: 10_000 }));
    assert_eq!(State::Leading { at: 10_001 }.after(by), Ok(State::Leading { at: 10_001 - 3_600_000 }));
}

const BEGIN: &str = "<!-- What follows is written by `UPDATE_EXPECTED=1 cargo test --lib state::tests`. -->\n";
const END: &str = "<!-- End of what is written by that test. -->\n";

fn table() -> String {
    let mut table = String::from("\n| transition | when |");
    for state in STATES {
        let _ = write!(table, " {} |", state.name());
    }
    table.push_str("\n|---|---|---|---|---|---|---|---|---|\n");
    for (transition, when) in TRANSITIONS {
        let _ = write!(table, "| **{}** | {when} |", transition.name());
        for state in STATES {
            let _ = write!(table, " {} |", state.after(transition).map_or("·", State::name));
        }
        table.push('\n');
    }
    table.push('\n');
    table
}

#[test]
fn the_table_in_the_document_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
        return;
    }
    assert_eq!(table(), written, "ARCHITECTURE.md says otherwise; UPDATE_EXPECTED=1 writes it again");
}
