use std::{collections::HashMap, sync::Arc};

use super::token::Grant;
use crate::{
    mutex::Mutex,
    net::{destination::EndpointUrl, identity::ClientIdentity},
    send::{
        error::{SendError, SendErrorKind},
        outbox::store::{endpoint::EndpointRecord, ids::EndpointId},
        signing::{custom_headers::CustomHeaders, echoes::Echoes, profile::Profile, seal::Sealer, signer::Signer},
    },
};

/// An endpoint as an attempt needs it: parsed and opened.
pub(crate) struct Opened {
    pub(crate) url: EndpointUrl,
    pub(crate) signer: Signer,
    pub(crate) headers: CustomHeaders,
    pub(crate) echoes: Echoes,
    pub(crate) identity: Option<ClientIdentity>,
    pub(crate) grant: Option<Grant>,
}

/// The opened endpoints, so that keys are prepared once for each revision of an endpoint.
#[derive(Default)]
pub(crate) struct OpenedEndpoints(Mutex<HashMap<EndpointId, (u64, Arc<Opened>)>>);

impl OpenedEndpoints {
    pub(crate) fn open(&self, sealer: &Sealer, endpoint: &EndpointRecord) -> Result<Arc<Opened>, SendError> {
        let mut opened = self.0.lock();
        if let Some((revision, known)) = opened.get(&endpoint.id)
            && *revision == endpoint.revision
        {
            return Ok(known.clone());
        }
        let profile = Profile::open(sealer, endpoint.id, &endpoint.settings.sealed)?;
        let url = EndpointUrl::parse(&endpoint.settings.url)
            .map_err(|cause| SendError::invalid("a stored URL cannot be read").with_source(cause))?;
        let signer = Signer::in_style(endpoint.settings.style, profile.secrets()?).map_err(|cause| {
            SendError::new(SendErrorKind::Sealing, "a stored secret cannot sign").with_source(cause)
        })?;
        let (headers, echoes, identity) = (profile.headers()?, profile.echoes(), profile.identity()?);
        let grant = profile.credentials()?.map(Grant::new);
        let new = Arc::new(Opened { url, signer, headers, echoes, identity, grant });
        if opened.len() >= MOST_OPENED {
            opened.clear();
        }
        opened.insert(endpoint.id, (endpoint.revision, new.clone()));
        Ok(new)
    }
}

/// If there are more endpoints than this, all are opened again.
const MOST_OPENED: usize = 10_000;
