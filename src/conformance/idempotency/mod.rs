mod claiming;
mod keeping;
mod owning;
mod steps;

use super::harness::Harness;

/// Checks a store against every numbered rule of the contract of
/// [`IdempotencyStore`](crate::idempotency::IdempotencyStore).
///
/// # Panics
/// If a rule is broken; the message begins with its number.
///
/// # Examples
/// ```
/// # #[tokio::main]
/// # async fn main() {
/// use tower_webhooks::{clock::ClockOffset, conformance, idempotency::IdempotencyStore, store::MemoryStore};
///
/// let offset = ClockOffset::default();
/// let store: Box<dyn IdempotencyStore> = Box::new(MemoryStore::with_capacity_and_offset(10_000, offset.clone()));
///
/// conformance::idempotency(&conformance::OffsetHarness::new(store, offset)).await;
/// # }
/// ```
pub async fn idempotency<H: Harness>(harness: &H) {
    claiming::of_simultaneous_claims_one_wins(harness).await;
    claiming::of_simultaneous_takeovers_one_wins(harness).await;
    claiming::a_claim_in_flight_is_answered_at_once(harness).await;
    claiming::other_keys_are_other_records(harness).await;
    claiming::one_token_may_hold_several_keys(harness).await;

    claiming::a_passed_lease_is_taken_over(harness).await;
    claiming::a_released_claim_is_taken_at_once(harness).await;
    claiming::an_expired_done_record_is_no_record(harness).await;
    claiming::a_release_keeps_the_attempt_count(harness).await;

    owning::a_stale_owner_changes_nothing(harness).await;
    owning::a_passed_lease_alone_takes_nothing_from_its_owner(harness).await;
    owning::an_unknown_key_is_stale(harness).await;
    owning::a_renewed_claim_holds(harness).await;

    owning::complete_is_idempotent(harness).await;
    owning::release_is_idempotent(harness).await;
    owning::nothing_but_time_ends_a_done_record(harness).await;
    owning::a_released_claim_is_nobodys(harness).await;

    owning::a_claim_asked_again_keeps_its_attempt(harness).await;

    keeping::purge_is_bounded_and_spares_what_is_needed(harness).await;

    keeping::a_dropped_future_leaves_nothing_locked(harness).await;

    keeping::what_was_stored_comes_back(harness).await;
    keeping::extreme_durations_are_taken(harness).await;
    keeping::a_foreign_connection_is_refused(harness).await;
    keeping::programs_are_introduced_or_nobody_is(harness).await;
}
