use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{
    mutex::Mutex,
    send::outbox::store::{endpoint::EndpointRecord, lease::Held},
};

/// The places of a worker that are taken.
#[derive(Default)]
pub(crate) struct Places {
    /// The number of jobs of endpoints that are not proven, or slow at this moment.
    // The counters are read and written with `Relaxed`: they only size the next request, and no other memory depends on
    // them.
    unproven: AtomicU32,
    /// The number of slow jobs of proven endpoints, which no longer take a place.
    aside: AtomicU32,
    /// What each tenant with a name has taken.
    tenants: Mutex<HashMap<Arc<str>, OfTenant>>,
}

#[derive(Clone, Copy, Default)]
struct OfTenant {
    all: u32,
    unproven: u32,
}

impl Places {
    /// Returns the number of jobs of endpoints that are not proven, or slow at this moment.
    pub(crate) fn unproven(&self) -> u32 {
        self.unproven.load(Ordering::Relaxed)
    }

    /// Returns the number of slow jobs that no longer take a place.
    pub(crate) fn aside(&self) -> u32 {
        self.aside.load(Ordering::Relaxed)
    }

    /// Returns what each tenant with a name has taken.
    pub(crate) fn held(&self) -> Arc<[Held]> {
        let tenants = self.tenants.lock();
        tenants.iter().map(|(tenant, has)| Held::new(tenant.clone(), has.all, has.unproven)).collect()
    }

    fn change(&self, tenant: &Arc<str>, change: impl FnOnce(&mut OfTenant)) {
        if tenant.is_empty() {
            return;
        }
        let mut tenants = self.tenants.lock();
        let has = tenants.entry(tenant.clone()).or_default();
        change(has);
        if has.all == 0 {
            tenants.remove(tenant);
        }
    }
}

/// The place of a job, until it is dropped.
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

    /// Frees the place of an attempt for others, if it has a place for quick attempts.
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
