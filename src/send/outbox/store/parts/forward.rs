//! A pointer to a store is a store. Each method of the parts is listed here once, and forwarded by `Arc` and by `Box`.

use std::{any::Any, sync::Arc, time::SystemTime};

use super::{catalogue::OutboxCatalogue, endpoints::OutboxEndpoints, log::OutboxLog, queue::OutboxQueue};
use crate::{
    boxed::BoxFuture,
    error::StoreError,
    queue::{Fenced, LeaseToken},
    send::{
        message::{event_type::EventTypeDefinition, message::Message},
        outbox::store::{
            delivery::{AttemptRecord, DeliveryQuery, DeliveryRecord, DeliveryState, Recover, Recovered, Retention},
            endpoint::{DisabledReason, EndpointDraft, EndpointRecord, EndpointSettings},
            history::{BacklogSample, SampleStep},
            ids::{EndpointId, SentDeliveryId},
            lease::{Finish, LeaseRequest, Leases},
            message::{Dispatched, MessageQuery, MessageRecord},
            stats::{Backlog, Scope, StatsCell},
        },
    },
};

macro_rules! forward {
    ($($part:ident {
        $(fn $name:ident $(<$life:lifetime>)? (& $($of:lifetime)? $self:ident $(, $argument:ident: $type:ty)*) $(-> $output:ty)?;)*
    })*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: $part + ?Sized> $part for Arc<T> {
            $(fn $name $(<$life>)? (& $($of)? $self $(, $argument: $type)*) $(-> $output)? {
                (**$self).$name($($argument),*)
            })*
        }

        #[deny(clippy::missing_trait_methods)]
        impl<T: $part + ?Sized> $part for Box<T> {
            $(fn $name $(<$life>)? (& $($of)? $self $(, $argument: $type)*) $(-> $output)? {
                (**$self).$name($($argument),*)
            })*
        }
    )*};
}

forward! {
    OutboxEndpoints {
        fn create_endpoint(&self, endpoint: EndpointDraft, most: u32) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>>;
        fn endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<Option<EndpointRecord>, StoreError>>;
        fn endpoints(&self, tenant: Option<Arc<str>>, after: Option<EndpointId>, limit: u32) -> BoxFuture<'_, Result<Vec<EndpointRecord>, StoreError>>;
        fn unreadable_endpoints(&self) -> BoxFuture<'_, Result<Vec<EndpointId>, StoreError>>;
        fn change_endpoint(&self, id: EndpointId, revision: u64, settings: EndpointSettings) -> BoxFuture<'_, Result<Fenced, StoreError>>;
        fn switch_endpoint(&self, id: EndpointId, disabled: Option<DisabledReason>) -> BoxFuture<'_, Result<bool, StoreError>>;
        fn delete_endpoint(&self, id: EndpointId) -> BoxFuture<'_, Result<bool, StoreError>>;
    }
    OutboxQueue {
        fn dispatch(&self, messages: Vec<Message>) -> BoxFuture<'_, Result<Vec<Dispatched>, StoreError>>;
        fn dispatch_in<'a>(&'a self, connection: &'a mut (dyn Any + Send), messages: Vec<Message>) -> BoxFuture<'a, Result<Vec<Dispatched>, StoreError>>;
        fn dispatch_to(&self, endpoint: EndpointId, message: Message) -> BoxFuture<'_, Result<Option<SentDeliveryId>, StoreError>>;
        fn listen<'a>(&'a self, wake: Box<dyn Fn() + Send + Sync + 'a>) -> BoxFuture<'a, ()>;
        fn notify(&self);
        fn lease(&self, request: LeaseRequest) -> BoxFuture<'_, Result<Leases, StoreError>>;
        fn finish(&self, id: SentDeliveryId, token: LeaseToken, finish: Finish) -> BoxFuture<'_, Result<(Fenced, Option<DisabledReason>), StoreError>>;
    }
    OutboxLog {
        fn delivery(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<Option<DeliveryRecord>, StoreError>>;
        fn deliveries(&self, tenant: Arc<str>, query: DeliveryQuery, limit: u32) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>>;
        fn all_deliveries(&self, state: Option<DeliveryState>, before: Option<SentDeliveryId>, limit: u32) -> BoxFuture<'_, Result<Vec<DeliveryRecord>, StoreError>>;
        fn message(&self, tenant: Arc<str>, id: String) -> BoxFuture<'_, Result<Option<MessageRecord>, StoreError>>;
        fn messages(&self, tenant: Arc<str>, query: MessageQuery, limit: u32) -> BoxFuture<'_, Result<Vec<MessageRecord>, StoreError>>;
        fn attempts(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<Vec<AttemptRecord>, StoreError>>;
        fn resend(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<bool, StoreError>>;
        fn cancel(&self, id: SentDeliveryId) -> BoxFuture<'_, Result<bool, StoreError>>;
        fn recover(&self, id: EndpointId, recover: Recover, limit: u32) -> BoxFuture<'_, Result<Recovered, StoreError>>;
        fn erase(&self, tenant: Arc<str>, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>>;
        fn purge(&self, retention: Retention, limit: u32) -> BoxFuture<'_, Result<u64, StoreError>>;
        fn stats(&self, scope: Scope, since: u32, until: u32) -> BoxFuture<'_, Result<Vec<StatsCell>, StoreError>>;
        fn backlog(&self, scope: Scope) -> BoxFuture<'_, Result<Backlog, StoreError>>;
        fn sample_backlog(&self) -> BoxFuture<'_, Result<bool, StoreError>>;
        fn backlog_samples(&self, step: SampleStep, since: SystemTime, until: SystemTime) -> BoxFuture<'_, Result<Vec<BacklogSample>, StoreError>>;
    }
    OutboxCatalogue {
        fn put_event_types(&self, event_types: Vec<EventTypeDefinition>) -> BoxFuture<'_, Result<(), StoreError>>;
        fn event_types(&self) -> BoxFuture<'_, Result<Vec<EventTypeDefinition>, StoreError>>;
        fn remove_event_type(&self, name: String) -> BoxFuture<'_, Result<bool, StoreError>>;
    }
}
