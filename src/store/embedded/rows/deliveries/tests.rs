use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};
use std::sync::Arc;

use super::write::{self, Told};
use super::*;
use crate::delivery::state::Transition;
use crate::delivery::state::tests::{EVENT, LEADER, STATES, TRANSITIONS};
use crate::delivery::{Claim, Planned};
use crate::event::{Event, EventId};
use crate::store::embedded::rows::schema;

const DESTINATION: DestinationKey = DestinationKey(0);
const ORDER: OrderKey = OrderKey(77);
const NOW: i64 = 900;
const TOLD: Told<'_> = Told { attempts: 2, settled_at: NOW, latency_us: 5, status: None, error: None };

fn store() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection).unwrap();
    connection
}

fn put(connection: &Connection, event: i64, state: State) {
    let Some(Columns { state, due_at, batch }) = Columns::of(state, event) else { return };
    connection
        .execute(
            "INSERT INTO deliveries (event, destination, state, attempts, due_at, settled_at, batch, order_key) VALUES (?, 0, ?, 1, ?, 5, ?, ?)",
            params![event, state, due_at, batch, stored(ORDER)],
        )
        .unwrap();
}

fn claim() -> Claim {
    let event = Event::new(EventId::from_bytes([1; 16]), Timestamp::UNIX_EPOCH, String::new(), String::new(), Bytes::new());
    Claim {
        sequence: EVENT,
        event: Arc::new(event),
        destination: DESTINATION,
        route: None,
        order: Some(ORDER),
        attempts_made: 1,
        since: Timestamp::UNIX_EPOCH,
        receipt: crate::store::embedded::window::receipt::HAS_ROW,
        batch: None,
    }
}

fn planned() -> Planned {
    Planned { destination: DESTINATION, route: None, order: Some(ORDER) }
}

type Run = fn(&Transaction<'_>, State, Transition) -> rusqlite::Result<()>;

/// One statement, run at [`EVENT`]'s delivery.
struct Statement {
    name: &'static str,
    /// The transitions that it writes.
    transitions: &'static [&'static str],
    /// The states whose rows it looks at. The others are not its business, whatever the transition allows.
    states: &'static [&'static str],
    run: Run,
}

const STATEMENTS: [Statement; 14] = [
    Statement {
        name: "settle",
        transitions: &["deliver", "retry", "die"],
        states: &["waiting", "due", "leading"],
        run: |transaction, _, transition| write::settle(transaction, &claim(), transition, TOLD).map(drop),
    },
    Statement {
        name: "settle_members",
        transitions: &["deliver", "retry", "die"],
        states: &["member"],
        run: |transaction, _, transition| write::settle_members(transaction, DESTINATION, LEADER, transition, TOLD).map(drop),
    },
    Statement {
        name: "leave_out",
        transitions: &["leave out"],
        states: &["member"],
        run: |transaction, _, _| write::leave_out(transaction, DESTINATION, EVENT, 1, NOW, "no").map(drop),
    },
    Statement {
        name: "part, of a member",
        transitions: &["part"],
        states: &["member"],
        run: |transaction, _, transition| write::part(transaction, DESTINATION, LEADER, at(transition)),
    },
    Statement {
        name: "part, of a leader",
        transitions: &["part"],
        states: &["leading"],
        run: |transaction, _, transition| write::part(transaction, DESTINATION, EVENT, at(transition)),
    },
    Statement {
        name: "pass_on, to the only member",
        transitions: &["take over"],
        states: &["member"],
        run: |transaction, _, transition| write::pass_on(transaction, DESTINATION, LEADER, at(transition)),
    },
    Statement {
        name: "pass_on, to one before it",
        transitions: &["follow"],
        states: &["member"],
        run: |transaction, _, _| {
            put(transaction, 4, State::Member { leader: LEADER });
            write::pass_on(transaction, DESTINATION, LEADER, NOW)
        },
    },
    Statement {
        name: "enter",
        transitions: &["hold", "release"],
        states: &["waiting"],
        run: |transaction, _, transition| write::enter(transaction, EVENT, planned(), transition, None, NOW).map(drop),
    },
    Statement {
        name: "release_first",
        transitions: &["release"],
        states: &["held"],
        run: |transaction, _, transition| write::release_first(transaction, DESTINATION, ORDER, at(transition)).map(drop),
    },
    Statement {
        name: "unhold",
        transitions: &["unhold"],
        states: &["held"],
        run: |transaction, _, _| write::unhold(transaction, DESTINATION, 0),
    },
    Statement {
        name: "gather",
        transitions: &["lead", "join"],
        states: &["waiting", "due"],
        run: |transaction, _, transition| write::gather(transaction, &claim(), transition, NOW).map(drop),
    },
    Statement {
        name: "give_up",
        transitions: &["give up"],
        states: &["waiting", "due", "leading", "held", "member"],
        run: |transaction, _, _| write::give_up(transaction, EVENT, planned(), "no", NOW).map(drop),
    },
    Statement {
        name: "redrive",
        transitions: &["redrive", "redrive held"],
        states: &["dead"],
        run: |transaction, from, transition| write::redrive(transaction, (EVENT, DESTINATION), from, transition, NOW, NOW).map(drop),
    },
    Statement {
        name: "bring_forward",
        transitions: &["bring forward"],
        states: &["due", "leading"],
        run: |transaction, from, transition| write::bring_forward(transaction, (EVENT, DESTINATION), from, transition),
    },
];

fn at(transition: Transition) -> i64 {
    match transition {
        Transition::Part { at } | Transition::TakeOver { at } | Transition::Release { at } => at,
        other => panic!("{other:?} has no time"),
    }
}

/// The engine decides nothing: on the row of a delivery in any state, each statement does what the pure module says, or nothing.
#[test]
fn every_statement_does_to_a_row_in_every_state_what_the_states_decide() {
    let connection = store();
    for statement in &STATEMENTS {
        for (transition, _) in TRANSITIONS.into_iter().filter(|(transition, _)| statement.transitions.contains(&transition.name())) {
            for from in STATES {
                let expected = match from.after(transition) {
                    Ok(after) if statement.states.contains(&from.name()) => after,
                    Ok(_) | Err(_) => from,
                };
                let transaction = connection.unchecked_transaction().unwrap();
                put(&transaction, EVENT, from);
                let done = (statement.run)(&transaction, from, transition);
                assert!(done.is_ok() || from.after(transition).is_err(), "{}: {done:?}", statement.name);
                let found = find(&transaction, EVENT, DESTINATION).unwrap();
                assert_eq!(found, expected, "{} writes {} on one that is {}", statement.name, transition.name(), from.name());
                transaction.rollback().unwrap();
            }
        }
    }
}

#[test]
fn for_every_transition_from_every_state_that_allows_it_there_is_one_statement() {
    for (transition, _) in TRANSITIONS {
        for from in STATES {
            let writes =
                |statement: &&Statement| statement.transitions.contains(&transition.name()) && statement.states.contains(&from.name());
            let names: Vec<&str> = STATEMENTS.iter().filter(writes).map(|statement| statement.name).collect();
            assert_eq!(names.len(), usize::from(from.after(transition).is_ok()), "{} from {}: {names:?}", transition.name(), from.name());
        }
    }
}

#[test]
fn only_rows_with_a_final_outcome_are_deleted() {
    let connection = store();
    for state in STATES {
        let transaction = connection.unchecked_transaction().unwrap();
        put(&transaction, EVENT, state);
        write::forget(&transaction, EVENT).unwrap();
        let expected = if state.is_final() { State::Waiting } else { state };
        assert_eq!(find(&transaction, EVENT, DESTINATION).unwrap(), expected);
        transaction.rollback().unwrap();
    }
}

#[test]
fn a_batch_that_is_passed_on_is_led_by_its_first_member_and_all_others_follow_it() {
    let connection = store();
    let transaction = connection.unchecked_transaction().unwrap();
    put(&transaction, 3, State::Dead { went: Went::Leading });
    for member in [7, 4, 9] {
        put(&transaction, member, State::Member { leader: 3 });
    }
    put(&transaction, 5, State::Delivered { went: Went::With { leader: 3 } });
    write::pass_on(&transaction, DESTINATION, 3, 50).unwrap();
    let state = |event| find(&transaction, event, DESTINATION).unwrap();
    assert_eq!(state(4), State::Leading { at: 50 });
    assert_eq!([state(7), state(9)], [State::Member { leader: 4 }; 2]);
    assert_eq!([state(3), state(5)], [State::Dead { went: Went::Leading }, State::Delivered { went: Went::With { leader: 3 } }]);
    assert_eq!(state(4).leader(4), Some(4));
}

/// Every combination of columns is a state's, and only that state's, or damage that names itself.
#[test]
fn columns_are_one_state_or_damage() {
    let mut states = 0;
    for state in 0..=6 {
        for due_at in [None, Some(1_000)] {
            for batch in [None, Some(EVENT), Some(LEADER)] {
                for ordered in [false, true] {
                    let columns = Columns { state, due_at, batch };
                    match columns.state(EVENT, ordered) {
                        Ok(found) => {
                            states += 1;
                            assert_eq!(Columns::of(found, EVENT), Some(columns));
                            assert!(found != State::Held || ordered, "nobody would let it go");
                        }
                        Err(damaged) => {
                            let words = damaged.to_string();
                            assert!(words.starts_with(&format!(
                                "a delivery of event {EVENT} has a row that is not possible: state {state}, due_at"
                            )));
                        }
                    }
                }
            }
        }
    }
    // Due and leading, a member, delivered and dead in three ways each, with and without an order key; held only with one.
    assert_eq!(states, 2 * (2 + 1 + 3 + 3) + 1);
    for state in STATES {
        let columns = Columns::of(state, EVENT);
        assert_eq!(columns.map_or(Ok(State::Waiting), |columns| columns.state(EVENT, true)), Ok(state));
    }
}

#[test]
fn a_damaged_row_is_an_error_that_ends_everything() {
    let connection = store();
    put(&connection, EVENT, State::Due { at: 1_000 });
    connection.execute("UPDATE deliveries SET due_at = NULL", []).unwrap();
    let error = find(&connection, EVENT, DESTINATION).unwrap_err();
    assert!(crate::store::embedded::disk::errors::is_final(&error), "{error:?}");
    let words = crate::store::embedded::disk::errors::plain_words(&error);
    assert!(
        words.contains("the file is damaged") && words.contains("event 5 has a row that is not possible: state 1, due_at null"),
        "{words}"
    );
}

#[test]
fn what_statements_ask_is_what_the_numbers_are() {
    let one_of = |numbers: &[i64]| {
        let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
        format!("state IN ({})", numbers.join(", "))
    };
    assert_eq!(state_is!(due), format!("state = {DUE}"));
    assert_eq!(state_is!(dead), format!("state = {DEAD}"));
    assert_eq!(state_is!(held), format!("state = {HELD}"));
    assert_eq!(state_is!(member), format!("state = {MEMBER}"));
    assert_eq!(state_is!(open), one_of(&[DUE, HELD, MEMBER]));
    assert_eq!(state_is!(ended), one_of(&[DELIVERED, DEAD]));
    // The partial indexes say the same, word for word.
    let connection = store();
    let indexes: String = connection
        .query_row("SELECT group_concat(sql, ';') FROM sqlite_schema WHERE tbl_name = 'deliveries'", [], |row| row.get(0))
        .unwrap();
    for asked in [state_is!(due), state_is!(dead), state_is!(held), state_is!(open)] {
        assert!(indexes.contains(&format!("WHERE {asked}")), "{asked}: {indexes}");
    }
}
