use super::tables::{Delivery, Tables};
use crate::{
    clock::{Millis, to_time},
    send::{
        AttemptRecord, DeliveryState, DisabledReason, Fenced, Finish, LeaseToken,
        policy::{Attempted, Receiver, counted, finish},
    },
};

impl Tables {
    pub(super) fn finish(
        &mut self,
        number: u64,
        token: LeaseToken,
        end: Finish,
        now: Millis,
    ) -> (Fenced, Option<DisabledReason>) {
        let held = |delivery: &&Delivery| delivery.state == DeliveryState::Sending && delivery.token == Some(token);
        let Some(delivery) = self.delivery(number).filter(held) else { return (Fenced::Stale, None) };
        let mut attempted = Attempted::new(delivery.attempt, delivery.epoch, delivery.created_at);
        attempted.resent_after = delivery.resent_after;
        let (id, message) = (delivery.endpoint, delivery.message);
        let receiver = match self.endpoints.get(&id) {
            None => Receiver::Deleted,
            Some(found) => Receiver::Readable { health: found.health, is_disabled: found.record.disabled.is_some() },
        };

        let finished = finish(&attempted, receiver, &end, now);

        if let Some(health) = finished.health {
            self.change_endpoint(id, |endpoint| endpoint.health = health);
        }
        if finished.disabled.is_some() {
            self.switch(id, finished.disabled, now);
            if let Some(notice) = &end.notice {
                // If the notice is in conflict, the other message with its id says the same.
                self.dispatch(std::slice::from_ref(notice), now);
            }
        }
        self.change(number, |delivery| {
            (delivery.state, delivery.due_at, delivery.token) = (finished.state, finished.due_at, None);
            delivery.attempt = finished.attempt;
        });
        let tenant = self.messages.get(&message).map(|stored| stored.tenant.clone());
        if let (Some(tenant), Some(counted)) = (tenant, counted(&end, now)) {
            self.count(&tenant, id, counted);
        }
        if finished.is_noted {
            let mut noted = AttemptRecord::new(attempted.attempt, to_time(now), end);
            noted.manual = finished.manual;
            self.attempts.entry(number).or_default().push(noted);
        }
        (Fenced::Applied, finished.disabled)
    }
}
