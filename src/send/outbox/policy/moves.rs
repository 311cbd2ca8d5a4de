use crate::send::outbox::store::delivery::{DeliveryRecord, DeliveryState};

/// Returns the states that waiting deliveries may still have while they are moved to `target`, since their endpoint was
/// disabled (held), enabled (pending) or deleted (cancelled).
///
/// ```
/// use tower_webhooks::send::{DeliveryState::{Cancelled, Held, Pending}, policy::moved_from};
///
/// assert_eq!(moved_from(Held), [Pending]);
/// assert_eq!(moved_from(Cancelled), [Pending, Held]);
/// ```
pub fn moved_from(target: DeliveryState) -> &'static [DeliveryState] {
    match target {
        DeliveryState::Held => &[DeliveryState::Pending],
        DeliveryState::Pending => &[DeliveryState::Held],
        // In the order in which a tenant is erased.
        DeliveryState::Cancelled => &[DeliveryState::Pending, DeliveryState::Held],
        _ => &[],
    }
}

/// Returns the state of a delivery as it is shown. A delivery that is still to be moved is shown in its later state.
fn shown(state: DeliveryState, target: Option<DeliveryState>) -> DeliveryState {
    target.filter(|target| moved_from(*target).contains(&state)).unwrap_or(state)
}

/// Shows a delivery in its later state. `target` is the state to which the waiting deliveries of its endpoint are being
/// moved, if they are.
pub fn show(record: &mut DeliveryRecord, target: Option<DeliveryState>) {
    let state = shown(record.state, target);
    if state != record.state {
        record.state = state;
        // What was held is due at once.
        record.due_at = (state == DeliveryState::Pending).then_some(record.created_at);
    }
}

#[cfg(test)]
mod tests {
    use super::shown;
    use crate::send::DeliveryState;

    #[test]
    fn what_is_being_moved_is_shown_where_it_will_be() {
        use DeliveryState::{Cancelled, Delivered, Held, Pending, Sending};

        for (state, target, wanted) in [
            (Pending, Some(Held), Held),
            (Held, Some(Pending), Pending),
            (Held, Some(Held), Held),
            (Held, Some(Cancelled), Cancelled),
            (Pending, Some(Cancelled), Cancelled),
            (Sending, Some(Held), Sending),
            (Delivered, Some(Cancelled), Delivered),
            (Pending, None, Pending),
        ] {
            assert_eq!(shown(state, target), wanted, "{state:?} to {target:?}");
        }
    }
}
