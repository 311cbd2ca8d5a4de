use std::time::Duration;

use super::suite::{Suite, check, new_tenant, taken, typed};
use crate::{
    boxed::BoxFuture,
    send::{MessageQuery, OutboxStore},
};

impl<'h, S: OutboxStore, A: Fn(Duration) -> BoxFuture<'h, ()>> Suite<S, A> {
    pub(super) async fn messages_are_read_by_id_and_in_pages(&self) {
        let (tenant, other) = (new_tenant(), new_tenant());
        let messages: Vec<_> = (0..5).map(|_| typed("order.completed", &tenant).version("v1")).collect();
        // Several messages of the same moment, and several moments.
        taken("dispatch", self.store.dispatch(messages[..3].to_vec()).await);
        (self.advance)(Duration::from_secs(1)).await;
        taken("dispatch", self.store.dispatch(messages[3..].to_vec()).await);
        taken("dispatch", self.store.dispatch(vec![typed("order.completed", &other)]).await);

        let id = messages[2].message_id().as_str();
        let read = taken("read", self.store.message(tenant.as_str().into(), id.to_owned()).await);
        let fits = read.as_ref().is_some_and(|record| {
            (&*record.id, &*record.event_type, &*record.tenant) == (id, "order.completed", &*tenant)
                && record.version.as_deref() == Some("v1")
                && record.payload.as_deref() == Some(messages[2].payload().get())
        });
        check(fits, "reading a message", &read);
        let unknown = taken("read", self.store.message(other.as_str().into(), id.to_owned()).await);
        check(unknown.is_none(), "reading a message: it is its tenant's alone", &unknown);

        let (mut ids, mut query) = (Vec::new(), MessageQuery::default());
        loop {
            let page = taken("read", self.store.messages(tenant.as_str().into(), query, 2).await);
            check(page.len() <= 2, "reading messages: no more than asked for", &page);
            check(page.iter().all(|record| record.payload.is_none()), "reading messages: no payloads", &page);
            check(page.is_sorted_by(|a, b| a.place > b.place), "reading messages: the newest first", &page);
            let Some(last) = page.last() else { break };
            query = MessageQuery::default().before(last.place);
            ids.extend(page.into_iter().map(|record| record.id));
        }
        let mut wanted: Vec<_> = messages.iter().map(|message| message.message_id().to_string()).collect();
        check(ids[..2].iter().all(|id| wanted[3..].contains(id)), "reading messages: the newest first", &ids);
        ids.sort_unstable();
        wanted.sort_unstable();
        check(ids == wanted, "reading messages: each once", &ids);
    }
}
