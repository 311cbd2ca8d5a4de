mod accepting;
mod ending;
mod keeping;
mod leasing;
mod suite;

use std::{sync::Arc, time::Duration};

use self::suite::Suite;
use crate::{boxed::BoxFuture, inbox::InboxStore};

/// Checks a store against every numbered rule of the contract of [`InboxStore`].
///
/// `advance` makes everything in the store older, as if its clock had gone on by so much.
///
/// # Panics
/// When a rule is broken; the message begins with its number.
///
/// # Examples
/// ```
/// use tower_webhooks::{clock::ClockOffset, conformance, store::MemoryInbox};
///
/// # #[tokio::main]
/// # async fn main() {
/// let offset = ClockOffset::default();
/// conformance::inbox(MemoryInbox::with_offset(offset.clone()), |by| {
///     offset.advance(by);
///     Box::pin(std::future::ready(()))
/// })
/// .await;
/// # }
/// ```
pub async fn inbox<S, A>(store: S, advance: A)
where
    S: InboxStore,
    A: Fn(Duration) -> BoxFuture<'static, ()> + Sync,
{
    let suite = Suite { store: Arc::new(store), advance: &advance };

    accepting::an_event_is_stored_once(&suite).await;
    accepting::of_simultaneous_calls_one_stores(&suite).await;
    accepting::a_call_is_stored_whole_or_not_at_all(&suite).await;
    accepting::a_dead_event_is_armed_again(&suite).await;
    accepting::an_event_is_new_after_its_retention(&suite).await;
    accepting::no_more_than_the_limit_waits(&suite).await;
    accepting::a_guarded_body_is_a_replay(&suite).await;

    leasing::the_oldest_due_is_given_to_one_token(&suite).await;
    leasing::of_simultaneous_leases_each_event_is_given_once(&suite).await;
    leasing::a_lease_ends_and_not_before(&suite).await;
    leasing::what_was_abandoned_is_given_out_alone(&suite).await;
    leasing::consumers_have_their_own_events(&suite).await;
    leasing::no_more_of_a_source_than_its_limit_leaves(&suite).await;
    leasing::an_event_begun_too_often_is_dead(&suite).await;
    leasing::one_at_a_time_of_an_order_key(&suite).await;
    leasing::a_dead_event_lets_the_next_one_go(&suite).await;

    ending::a_stale_token_changes_nothing(&suite).await;
    ending::a_holder_may_come_late(&suite).await;
    ending::each_ending_is_done(&suite).await;
    ending::ended_events_are_replayed_and_waiting_ones_discarded(&suite).await;
    ending::dead_letters_are_changed_since_a_time(&suite).await;

    keeping::content_goes_before_keys(&suite).await;
    keeping::purge_is_bounded_and_spares_what_waits(&suite).await;
    keeping::a_tenant_is_erased(&suite).await;
    keeping::what_was_stored_comes_back(&suite).await;
    keeping::lists_begin_with_the_newest(&suite).await;
    keeping::a_foreign_connection_is_refused(&suite).await;
    keeping::a_dropped_call_leaves_nothing_locked(&suite).await;
}
