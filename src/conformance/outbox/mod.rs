mod damaged;
mod dispatching;
mod emptied;
mod failing;
mod keeping;
mod keys;
mod leasing;
mod messages;
mod pace;
mod repeating;
mod stats;
mod suite;

use std::{sync::Arc, time::Duration};

use self::suite::Suite;
pub use self::{
    damaged::{Damage, damaged_outbox},
    emptied::emptied_outbox,
};
use crate::{boxed::BoxFuture, send::OutboxStore};

/// Checks a store against the numbered rules of the contract of [`OutboxStore`].
///
/// `advance` moves the store's clock forward. The store must be empty, since `lease` returns anything that is due. Rule
/// 3 needs the application's database, so the tests of a store with one check it; this suite only checks that such a
/// store rejects a value that is not a connection.
///
/// # Panics
/// If a rule is broken; the message begins with its number.
///
/// # Examples
/// ```
/// # #[tokio::main]
/// # async fn main() {
/// use tower_webhooks::{clock::ClockOffset, conformance, store::MemoryOutbox};
///
/// let offset = ClockOffset::default();
/// let store = MemoryOutbox::with_offset(offset.clone());
///
/// conformance::outbox(store, |by| {
///     offset.advance(by);
///     Box::pin(std::future::ready(()))
/// })
/// .await;
/// # }
/// ```
pub async fn outbox<'h, S: OutboxStore>(store: S, advance: impl Fn(Duration) -> BoxFuture<'h, ()>) {
    let suite = Suite { store: Arc::new(store), advance };
    suite.a_message_makes_a_delivery_for_each_endpoint_that_wants_it().await;
    suite.a_message_is_known_by_tenant_and_id().await;
    suite.deliveries_are_found_by_what_they_are().await;
    suite.messages_are_read_by_id_and_in_pages().await;
    suite.a_foreign_connection_is_refused().await;
    suite.what_is_dispatched_together_is_leased_in_its_order().await;
    suite.simultaneous_workers_share_what_is_due().await;
    suite.a_passed_lease_is_leased_again_and_fences_its_owner().await;
    for _ in 0..8 {
        // Ids are random, so one success may be chance.
        suite.the_endpoint_that_waited_longest_is_first().await;
    }
    suite.an_attempt_and_its_delivery_change_together().await;
    suite.what_was_unsent_is_as_if_it_were_not_leased().await;
    suite.a_failing_endpoint_rests().await;
    suite.an_endpoint_that_fails_for_long_is_disabled_once().await;
    suite.two_bad_moments_days_apart_do_not_disable_an_endpoint().await;
    suite.a_gone_endpoint_is_held_and_enabled_again().await;
    suite.what_an_old_url_answers_is_not_the_new_ones().await;
    suite.a_mended_endpoint_does_not_rest().await;
    suite.an_endpoint_rests_for_as_long_as_it_asks().await;
    suite.what_a_person_sends_goes_first().await;
    suite.no_tenant_fills_a_worker().await;
    suite.what_goes_in_order_goes_one_by_one().await;
    suite.of_an_order_key_one_goes_at_a_time().await;
    suite.what_goes_first_waits_for_its_key_alone().await;
    suite.a_long_row_of_one_key_delays_no_other().await;
    suite.a_change_applies_to_its_revision().await;
    suite.what_ended_can_be_sent_again().await;
    suite.what_waits_is_cancelled_with_its_endpoint().await;
    suite.what_was_missed_is_recovered().await;
    suite.a_purge_spares_what_is_awaited().await;
    suite.content_is_kept_from_the_last_attempt_on().await;
    suite.a_dropped_future_leaves_nothing_locked().await;
    suite.a_quota_holds_against_simultaneous_registrations().await;
    suite.endpoints_are_read_in_pages().await;
    suite.a_message_can_be_for_one_endpoint().await;
    suite.a_notice_is_dispatched_with_what_it_tells_of().await;
    suite.what_was_missed_is_recovered_in_pages().await;
    suite.what_was_cancelled_is_not_recovered().await;
    suite.what_a_worker_died_on_can_be_sent_again_or_cancelled().await;
    suite.a_tenant_is_erased_and_no_other().await;
    suite.what_was_held_for_long_goes().await;
    suite.what_a_worker_died_on_goes_with_its_endpoint().await;
    suite.the_catalogue_is_kept().await;
    suite.attempts_are_counted_by_the_hour().await;
    suite.counts_are_purged_and_erased().await;
    suite.a_backlog_says_how_long_nobody_came().await;
    suite.what_waits_is_noted_once_a_minute().await;
    suite.unproven_endpoints_have_a_share_of_their_own().await;
    suite.what_is_the_senders_fault_does_not_count().await;
    suite.an_endpoint_rests_after_what_was_unsent().await;
    suite.a_rate_limit_holds_over_all_workers().await;
    suite.a_changed_rate_limit_holds_at_once().await;
    suite.a_backlog_is_worked_off_in_order().await;
    suite.what_is_recovered_is_worked_off_too().await;
}
