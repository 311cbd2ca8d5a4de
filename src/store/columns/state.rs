use crate::send::DeliveryState;

// The numbers are in the statements of both databases too. They never change: rows have them.
pub(in crate::store) const PENDING: i64 = 0;
const SENDING: i64 = 1;
const HELD: i64 = 2;
const DELIVERED: i64 = 3;
const REFUSED: i64 = 4;
const EXHAUSTED: i64 = 5;
const CANCELLED: i64 = 6;

/// Returns the number of a state in the rows.
pub(in crate::store) fn number(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Pending => PENDING,
        DeliveryState::Sending => SENDING,
        DeliveryState::Held => HELD,
        DeliveryState::Delivered => DELIVERED,
        DeliveryState::Refused => REFUSED,
        DeliveryState::Exhausted => EXHAUSTED,
        DeliveryState::Cancelled => CANCELLED,
    }
}

/// Returns the state of a number. A newer version may have others.
pub(in crate::store) fn state(number: i64) -> Option<DeliveryState> {
    DeliveryState::ALL.iter().copied().find(|state| self::number(*state) == number)
}
