use std::{cmp::Reverse, collections::HashMap};

use crate::send::{
    DeliveryQuery, DeliveryRecord, DeliveryState, EndpointId,
    policy::{moved_from, show},
};

/// A page of deliveries while those of some endpoints are being moved to another state, in steps: each is shown in its
/// later state.
pub(in crate::store) struct Listing {
    moves: HashMap<EndpointId, DeliveryState>,
    /// The endpoints whose deliveries are no longer in the wanted state, whatever their rows say.
    pub(in crate::store) leaving: Vec<String>,
    /// The deliveries to read in addition, since they are being moved to the wanted state.
    pub(in crate::store) coming: Vec<DeliveryQuery>,
}

impl Listing {
    pub(in crate::store) fn new(moves: HashMap<EndpointId, DeliveryState>, wanted: &DeliveryQuery) -> Self {
        let leaves = |target: DeliveryState| wanted.state.is_some_and(|state| moved_from(target).contains(&state));
        let leaving = moves.iter().filter(|(_, target)| leaves(**target)).map(|(id, _)| id.to_string()).collect();
        let comes = |id: &EndpointId, target: DeliveryState| {
            wanted.state == Some(target) && wanted.endpoint.is_none_or(|endpoint| endpoint == *id)
        };
        let coming = moves
            .iter()
            .filter(|(id, target)| comes(id, **target))
            .flat_map(|(id, target)| moved_from(*target).iter().map(|from| wanted.clone().endpoint(*id).state(*from)));
        Self { leaving, coming: coming.collect(), moves }
    }

    /// Returns one page of the records that were read.
    pub(in crate::store) fn page(&self, mut records: Vec<DeliveryRecord>, limit: u32) -> Vec<DeliveryRecord> {
        for record in &mut records {
            show(record, self.moves.get(&record.endpoint).copied());
        }
        records.sort_unstable_by_key(|record| Reverse(record.id));
        records.truncate(limit as usize);
        records
    }
}
