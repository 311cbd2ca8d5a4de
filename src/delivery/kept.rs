use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    layout::{Facts, Layout},
    names::{DeliveryId, EventType, Mode},
    proof::{Coverage, Proof},
};
use crate::{
    clock::{from_time, to_time},
    form::Form,
    json::{Pointer, Unread},
};

/// A delivery as a durable queue keeps it, without its body. Every fact has its name, so that a stored one can be read after its
/// scheme has changed: an unknown name is ignored, and a missing one is absent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeptDelivery {
    provider: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    /// The length of the first part of the event type, if it has two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_type_first: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    live: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unread: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret_index: Option<usize>,
    #[serde(default)]
    covers_body: bool,
    #[serde(default)]
    covers_id: bool,
    #[serde(default)]
    covers_timestamp: bool,
    /// The pointer of the payload.
    #[serde(default)]
    payload: String,
    #[serde(default)]
    or_envelope: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    form: Option<KeptForm>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeptForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json: Option<String>,
    #[serde(default)]
    fields: bool,
}

impl KeptDelivery {
    pub(super) fn of_parts(layout: &Layout, facts: &Facts, proof: Proof, tenant: Option<&str>) -> Self {
        let form = layout.form.as_ref().map(|form| {
            let (json, fields) = form.parts();
            KeptForm { json: json.map(str::to_owned), fields }
        });
        Self {
            provider: layout.provider.to_string(),
            tenant: tenant.map(str::to_owned),
            id: facts.id.as_ref().map(ToString::to_string),
            event_type: facts.event_type.as_ref().map(ToString::to_string),
            event_type_first: facts.event_type.as_ref().and_then(EventType::first),
            api_version: facts.api_version.as_deref().map(str::to_owned),
            account: facts.account.as_deref().map(str::to_owned),
            attempt: facts.attempt,
            live: facts.mode.map(|mode| mode == Mode::Live),
            unread: facts.unread.map(|unread| unread.name().to_owned()),
            signed_at: proof.timestamp.map(from_time),
            secret_index: proof.secret_index,
            covers_body: proof.coverage.body,
            covers_id: proof.coverage.id,
            covers_timestamp: proof.coverage.timestamp,
            payload: layout.payload.to_string(),
            or_envelope: layout.or_envelope,
            form,
        }
    }

    /// Returns the parts of a delivery, or `None` if the pointer of the payload is invalid.
    pub(super) fn into_parts(self) -> Option<(Layout, Facts, Proof, Option<Arc<str>>)> {
        let mut layout = Layout::new(self.provider.into(), Pointer::parse(&self.payload)?, 1);
        layout.or_envelope = self.or_envelope;
        layout.form = self.form.map(|form| Form::of_parts(form.json, form.fields));
        let facts = Facts {
            account: self.account.map(Into::into),
            id: self.id.as_deref().and_then(DeliveryId::new),
            event_type: self.event_type.as_deref().and_then(|text| EventType::new(text, self.event_type_first)),
            api_version: self.api_version.map(Into::into),
            attempt: self.attempt,
            mode: self.live.map(|live| if live { Mode::Live } else { Mode::Test }),
            // A name of a later version is one that cannot be read either.
            unread: self.unread.map(|name| Unread::of_name(&name).unwrap_or(Unread::NotJson)),
        };
        let coverage = Coverage { body: self.covers_body, id: self.covers_id, timestamp: self.covers_timestamp };
        let proof = Proof { timestamp: self.signed_at.map(to_time), secret_index: self.secret_index, coverage };
        Some((layout, facts, proof, self.tenant.map(Into::into)))
    }
}
