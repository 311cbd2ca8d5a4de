//! How often the customers of a tenant may call.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    access::{Access, Role},
    problem::Problem,
};
use crate::{clock::monotonic, mutex::Mutex, send::RateLimit};

/// Counts the calls of each tenant's owners, in this process. A tenant that has not called for a while may make as many calls at once as
/// the limit allows in its span of time; what is used up comes back evenly.
pub(super) struct Limits {
    limit: RateLimit,
    callers: Mutex<Callers>,
}

#[derive(Default)]
struct Callers {
    /// When each tenant has its full allowance again. Times that have passed have no effect, and are removed from time
    /// to time.
    full_at: HashMap<Arc<str>, Duration>,
    /// The number of tenants at which entries without effect are removed.
    sweep_at: usize,
}

impl Limits {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self { limit, callers: Mutex::default() }
    }

    /// Counts a call. Operators are the application itself, and are not limited.
    pub(super) fn check(&self, access: &Access) -> Result<(), Problem> {
        match (access.role(), access.tenant_name()) {
            (Role::Owner, Some(tenant)) => self.count(tenant, monotonic()).map_err(|wait| {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Problem::rate_limited(self.limit, seconds.max(1))
            }),
            _ => Ok(()),
        }
    }

    /// Returns for how long the tenant has to wait if it calls too often.
    fn count(&self, tenant: &Arc<str>, now: Duration) -> Result<(), Duration> {
        let mut callers = self.callers.lock();
        let full_at = callers.full_at.get(tenant).copied().unwrap_or_default().max(now) + self.limit.interval();
        let wait = full_at.saturating_sub(now + self.limit.window());
        if !wait.is_zero() {
            return Err(wait);
        }
        if callers.full_at.len() >= callers.sweep_at && !callers.full_at.contains_key(tenant) {
            callers.full_at.retain(|_, full_at| *full_at > now);
            callers.sweep_at = (callers.full_at.len() * 2).max(FEW);
        }
        callers.full_at.insert(tenant.clone(), full_at);
        Ok(())
    }
}

/// The number of tenants below which entries without effect are not removed.
const FEW: usize = 1024;

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::{FEW, Limits};
    use crate::send::RateLimit;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_used_up_comes_back_evenly() {
        let limits = Limits::new(RateLimit::per_second(4).unwrap());
        let (acme, globex): (Arc<str>, Arc<str>) = ("acme".into(), "globex".into());
        let begin = SECOND * 100;

        for _ in 0..4 {
            assert_eq!(limits.count(&acme, begin), Ok(()));
        }
        assert_eq!(limits.count(&acme, begin), Err(SECOND / 4));
        assert_eq!(limits.count(&globex, begin), Ok(()));
        assert_eq!(limits.count(&acme, begin + SECOND / 4), Ok(()));
        assert_eq!(limits.count(&acme, begin + SECOND / 4), Err(SECOND / 4));
        for _ in 0..4 {
            assert_eq!(limits.count(&acme, begin + SECOND * 60), Ok(()));
        }
        assert!(limits.count(&acme, begin + SECOND * 60).is_err());
    }

    #[test]
    fn tenants_that_call_no_more_are_forgotten() {
        let limits = Limits::new(RateLimit::per_minute(1).unwrap());
        for number in 0..20 * FEW as u32 {
            let tenant: Arc<str> = number.to_string().into();
            assert_eq!(limits.count(&tenant, SECOND * number), Ok(()));
            assert_eq!(limits.count(&tenant, SECOND * number), Err(SECOND * 60));
        }
        assert!(limits.callers.lock().full_at.len() <= FEW);
    }
}
