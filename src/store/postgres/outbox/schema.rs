use crate::{
    send::DeliveryState,
    store::postgres::migration::{Migration, Part},
};

pub(in crate::store::postgres) const OUTBOX: Part = Part {
    name: "outbox",
    steps: &[
        Migration { version: 1, oldest_reader: 1, sql: include_str!("../migrations/outbox_1.sql") },
        Migration { version: 2, oldest_reader: 1, sql: include_str!("../migrations/outbox_2.sql") },
        // What the versions before make due by an update is not found at once by this one.
        Migration { version: 3, oldest_reader: 3, sql: include_str!("../migrations/outbox_3.sql") },
        Migration { version: 4, oldest_reader: 3, sql: include_str!("../migrations/outbox_4.sql") },
    ],
};

// The numbers are in the statements too.
pub(super) const PENDING: i64 = 0;
pub(super) const HELD: i64 = 2;

pub(super) fn number(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Pending => PENDING,
        DeliveryState::Sending => 1,
        DeliveryState::Held => HELD,
        DeliveryState::Delivered => 3,
        DeliveryState::Refused => 4,
        DeliveryState::Exhausted => 5,
        DeliveryState::Cancelled => 6,
    }
}

pub(super) fn state(number: i16) -> Option<DeliveryState> {
    DeliveryState::ALL.iter().copied().find(|state| self::number(*state) == i64::from(number))
}
