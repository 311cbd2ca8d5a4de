use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::send::outbox::store::{endpoint::EndpointRecord, lease::Held};

/// What is taken of a worker's places.
#[derive(Default)]
pub(crate) struct Places {
    /// How many jobs are of endpoints that are not proven, or slow at this moment.
    unproven: AtomicU32,
    /// How many jobs were of proven endpoints and are slow: they are in nobody's way any longer.
    aside: AtomicU32,
    /// What each tenant with a name has.
    tenants: Mutex<HashMap<Arc<str>, OfTenant>>,
}

#[derive(Clone, Copy, Default)]
struct OfTenant {
    all: u32,
    unproven: u32,
}

impl Places {
    /// How many places are taken by jobs of endpoints that are not proven, or slow at this moment.
    pub(crate) fn unproven(&self) -> u32 {
        self.unproven.load(Ordering::Relaxed)
    }

    /// How many jobs are in nobody's way any longer.
    pub(crate) fn aside(&self) -> u32 {
        self.aside.load(Ordering::Relaxed)
    }

    pub(crate) fn held(&self) -> Arc<[Held]> {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.iter().map(|(tenant, has)| Held::new(tenant.clone(), has.all, has.unproven)).collect()
    }

    fn change(&self, tenant: &Arc<str>, change: impl FnOnce(&mut OfTenant)) {
        if tenant.is_empty() {
            return;
        }
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let has = tenants.entry(tenant.clone()).or_default();
        change(has);
        if has.all == 0 {
            tenants.remove(tenant);
        }
    }
}

/// A job's place, until it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    tenant: Arc<str>,
    is_unproven: bool,
    is_aside: bool,
}

impl Place {
    pub(crate) fn take(places: &Arc<Places>, endpoint: &EndpointRecord) -> Self {
        let is_unproven = !endpoint.proven;
        let one = u32::from(is_unproven);
        places.unproven.fetch_add(one, Ordering::Relaxed);
        places.change(&endpoint.tenant, |has| {
            has.all += 1;
            has.unproven += one;
        });
        Self { places: places.clone(), tenant: endpoint.tenant.clone(), is_unproven, is_aside: false }
    }

    /// Leaves the place of a quick attempt to others, if it is one.
    pub(crate) fn set_aside(&mut self) {
        if self.is_unproven {
            return;
        }
        (self.is_unproven, self.is_aside) = (true, true);
        self.places.aside.fetch_add(1, Ordering::Relaxed);
        self.places.unproven.fetch_add(1, Ordering::Relaxed);
        self.places.change(&self.tenant, |has| has.unproven += 1);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let one = u32::from(self.is_unproven);
        self.places.unproven.fetch_sub(one, Ordering::Relaxed);
        self.places.aside.fetch_sub(u32::from(self.is_aside), Ordering::Relaxed);
        self.places.change(&self.tenant, |has| {
            has.all = has.all.saturating_sub(1);
            has.unproven = has.unproven.saturating_sub(one);
        });
    }
}
