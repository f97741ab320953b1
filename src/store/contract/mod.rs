//! What every engine promises, checked against the real thing. The cases know the verbs only. An engine says in an [`Engine`] how it is
//! made, opened, killed and spoiled, and runs all of them, and the generated histories of `model_tests`, by one line:
//! `crate::store::contract::holds!(MyEngine);`.

pub mod given;
pub mod line;
pub mod live;
pub mod operator;
pub mod standing;

use std::sync::Arc;

use super::Records;
use crate::event::EventId;

/// A backlog that no case reaches by chance.
pub const PLENTY: u64 = 1_000_000;

/// One store of an engine, which may be open or not.
pub trait Engine: Sized + Send + Sync + 'static {
    /// A new store that nobody else uses. Nothing is in it yet.
    fn make() -> Self;

    /// Opens it, so that at most so many deliveries may wait. Whoever had it open before has let go of it or was dropped, perhaps only
    /// just now.
    fn open(&self, backlog_max: u64) -> impl Future<Output = Arc<dyn Records>> + Send;

    /// What is left of the store if the relay is killed at this moment. What the old one still does changes nothing in it.
    fn crash(&self) -> impl Future<Output = Self> + Send;

    /// Changes the stored body of an event behind the engine's back, as a failing disk would.
    fn spoil(&self, event: EventId) -> impl Future<Output = ()> + Send;
}

/// Runs the whole contract against an engine: one test for each case.
macro_rules! holds {
    ($engine:ty) => {
        $crate::store::contract::holds!($engine, live:
            what_was_accepted_is_claimed_after_a_crash_and_what_was_settled_is_not,
            a_duplicate_gets_the_first_ones_id_also_after_a_restart_and_also_at_the_same_moment,
            an_event_outside_of_the_window_is_new,
            a_retry_comes_back_when_it_is_due_with_its_attempts_and_not_twice,
            what_is_given_back_comes_again_and_uses_up_no_attempt,
            a_batch_is_repeated_with_its_members_in_one_order_in_whichever_they_were_claimed,
            members_that_cannot_go_together_are_batches_of_one_also_after_a_crash,
            a_backlog_larger_than_the_window_comes_whole_and_in_order,
            a_destination_that_left_is_parked_and_goes_on_when_it_comes_back,
            what_is_over_its_time_is_deleted_and_what_is_undelivered_is_not,
            what_expires_is_given_up_and_told_once,
            an_event_leaves_quarantine_once_and_is_delivered_once_wherever_the_queue_stands,
            too_large_a_backlog_is_refused,
            what_was_spoiled_on_the_disk_is_not_taken_for_sound,
            nothing_is_taken_after_the_end,
        );
        $crate::store::contract::holds!($engine, line:
            those_of_one_key_go_one_at_a_time_in_the_order_of_acceptance,
            a_line_outlives_a_crash,
        );
        $crate::store::contract::holds!($engine, standing:
            a_destination_is_owned_before_it_is_claimed_from,
            how_a_destination_stands_outlives_a_crash_and_a_pause_stays,
            everything_is_paused_at_a_start_that_holds,
            names_and_figures_are_of_the_same_destinations,
        );
        $crate::store::contract::holds!($engine, operator:
            pages_go_from_the_newest_to_the_oldest_and_leave_nothing_out,
            a_page_begins_only_where_another_ended,
            a_filter_finds_what_it_names,
            an_event_and_a_delivery_are_shown_with_what_became_of_them,
            what_a_request_carries_is_known_of_a_delivery_and_of_a_batch,
            whoever_follows_is_told_of_events_and_of_outcomes,
            dead_deliveries_are_taken_up_again_by_name_or_by_filter,
            a_redrive_goes_on_where_it_ended_and_paces_what_it_takes_up,
            the_last_failure_and_the_oldest_are_known,
        );

        #[test]
        fn every_history_keeps_what_the_store_promises() {
            $crate::store::model_tests::every_history_holds::<$engine>();
        }
    };
    ($engine:ty, $module:ident: $($case:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                $crate::store::contract::$module::$case::<$engine>().await;
            }
        )+
    };
}

pub(crate) use holds;
