use std::sync::Arc;

use bytes::Bytes;
use http::Uri;
use serde::Deserialize;

use super::{head::bytes, inbox::Inbox, store::Content};

/// A stored request as people and programs may see it.
pub(crate) struct ShownRequest {
    pub(crate) method: String,
    /// Without the query, in which some senders put a secret.
    pub(crate) path: String,
    /// The stored headers. Bytes that are not UTF-8 are replaced.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

/// The part of a stored head that is shown. It can be read even if the rest cannot.
#[derive(Deserialize)]
struct ShownHead {
    method: String,
    uri: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
}

impl ShownRequest {
    /// Returns `None` if the stored head cannot be read.
    pub(crate) fn of(content: Content) -> Option<Self> {
        let Content { head, body } = content;
        let ShownHead { method, uri, headers } = serde_json::from_str(&head).ok()?;
        let path = uri.parse::<Uri>().ok()?.path().to_owned();
        let shown = |(name, value): (String, String)| {
            let value = bytes(&value).map_or(value, |bytes| String::from_utf8_lossy(&bytes).into_owned());
            (name, value)
        };
        Some(Self { method, path, headers: headers.into_iter().map(shown).collect(), body })
    }
}

impl Inbox {
    /// Returns the name of the inbox.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.shared.settings.consumer
    }

    /// Returns `true` if the numbers of events of both inboxes are known to be of one store.
    pub(crate) fn shares_store_with(&self, other: &Self) -> bool {
        let identity = self.shared.store.identity();
        Arc::ptr_eq(&self.shared.store, &other.shared.store)
            || identity.is_some() && identity == other.shared.store.identity()
    }
}
