use std::collections::HashMap;

use crate::send::outbox::store::lease::{Held, LeaseRequest};

/// Divides the deliveries that a worker asked for among the endpoints with something due, in the order in which they
/// are served. What one endpoint does not use is left to those after it. [`plan`](super::plan) uses it; a store that
/// reads its endpoints one by one uses it with [`serve`](super::serve).
///
/// ```
/// use std::time::Duration;
/// use tower_webhooks::send::{LeaseRequest, LeaseToken, policy::Shares};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let request = LeaseRequest::new(LeaseToken::random()?, Duration::from_secs(60), 10);
/// // Two proven endpoints have something due.
/// let mut shares = Shares::new(&request, [true, true].into_iter());
///
/// assert_eq!(shares.next(true, ""), 5);
/// shares.took(1, true, "");
/// assert_eq!(shares.next(true, ""), 9);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Shares<'a> {
    /// How many deliveries may still be leased, and how many of them for unproven endpoints.
    left: u32,
    left_unproven: u32,
    /// How many endpoints are still to come.
    proven: u32,
    unproven: u32,
    /// How many of the worker's places each tenant has. `None` if tenants have no shares.
    tenants: Option<HashMap<&'a str, Places>>,
}

/// How many of a worker's places a tenant has, and how many of these for unproven endpoints.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    all: u32,
    unproven: u32,
}

impl Places {
    /// Returns how many more places there may be. A tenant never has more places than are free. A single tenant leaves
    /// half of them, and if several tenants want as many as they can get, there is still room for a new one.
    fn room(self, left: u32, left_unproven: u32, proven: bool) -> u32 {
        let share = |left: u32, has: u32| {
            let more = left.saturating_sub(has) / 2;
            if has == 0 { more.max(1) } else { more }
        };
        let room = share(left, self.all);
        if proven { room } else { room.min(share(left_unproven, self.unproven)) }
    }
}

impl<'a> Shares<'a> {
    /// Creates the shares of the endpoints with something due. `proven` yields `true` for each one that is proven.
    pub fn new(request: &'a LeaseRequest, proven: impl Iterator<Item = bool>) -> Self {
        let places = |held: &'a Held| (&*held.tenant, Places { all: held.deliveries, unproven: held.unproven });
        let mut shares = Self {
            left: request.limit,
            left_unproven: request.unproven.min(request.limit),
            proven: 0,
            unproven: 0,
            tenants: request.held.as_deref().map(|held| held.iter().map(places).collect()),
        };
        for is_proven in proven {
            *(if is_proven { &mut shares.proven } else { &mut shares.unproven }) += 1;
        }
        shares
    }

    /// Returns `true` if nothing more may be leased.
    pub fn is_used_up(&self) -> bool {
        self.left == 0
    }

    /// Returns how many deliveries the next endpoint may have. It is called once for each endpoint, in their order.
    pub fn next(&mut self, proven: bool, tenant: &str) -> u32 {
        // Endpoints that are not proven cannot use more than they may have together, however many they are.
        let wanting = self.proven.saturating_add(self.unproven.min(self.left_unproven));
        let even = self.left.div_ceil(wanting.max(1));
        let room = self.room_of(tenant, proven);
        if proven {
            self.proven = self.proven.saturating_sub(1);
            return even.min(room);
        }
        let share = even.min(self.left_unproven.div_ceil(self.unproven.max(1)));
        self.unproven = self.unproven.saturating_sub(1);
        share.min(room)
    }

    /// Returns how many more a tenant may have. In an application without tenants there is nobody else to leave room
    /// for.
    fn room_of(&self, tenant: &str, proven: bool) -> u32 {
        match &self.tenants {
            Some(tenants) if !tenant.is_empty() => {
                let has = tenants.get(tenant).copied().unwrap_or_default();
                has.room(self.left, self.left_unproven, proven)
            }
            _ => u32::MAX,
        }
    }

    /// Notes how many deliveries the endpoint got.
    pub fn took(&mut self, count: u32, proven: bool, tenant: &'a str) {
        self.left = self.left.saturating_sub(count);
        if !proven {
            self.left_unproven = self.left_unproven.saturating_sub(count);
        }
        if let Some(tenants) = &mut self.tenants {
            let has = tenants.entry(tenant).or_default();
            has.all = has.all.saturating_add(count);
            has.unproven = has.unproven.saturating_add(if proven { 0 } else { count });
        }
    }
}

/// Returns the tenants for which nothing is leased, and those for whose unproven endpoints nothing is leased. A store
/// that reads a bounded number of endpoints leaves theirs out, so that they do not take the places of others in what is
/// read.
pub fn full_tenants(request: &LeaseRequest) -> [Vec<&str>; 2] {
    let held = || request.held.as_deref().into_iter().flatten().filter(|held| !held.tenant.is_empty());
    let full = |proven: bool| {
        let is_full = move |held: &&Held| {
            let has = Places { all: held.deliveries, unproven: held.unproven };
            has.room(request.limit, request.unproven.min(request.limit), proven) == 0
        };
        held().filter(is_full).map(|held| &*held.tenant).collect()
    };
    [full(true), full(false)]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Shares, full_tenants};
    use crate::send::{Held, LeaseRequest, LeaseToken};

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// Each endpoint takes up to `most`.
    fn taken(limit: u32, unproven: u32, endpoints: &[bool], most: u32) -> Vec<u32> {
        let mut request = LeaseRequest::new(LeaseToken::random().unwrap(), DAY, limit);
        request.unproven = unproven;
        let mut shares = Shares::new(&request, endpoints.iter().copied());
        let take = |proven: &bool| {
            let count = shares.next(*proven, "").min(most);
            shares.took(count, *proven, "");
            count
        };
        endpoints.iter().map(take).collect()
    }

    #[test]
    fn what_a_worker_asks_for_is_shared_and_unproven_endpoints_have_a_share_of_their_own() {
        assert_eq!(taken(10, 10, &[true, true, true], 4), [4, 3, 3]);
        assert_eq!(taken(10, 10, &[true, false], 4), [4, 4]);
        assert_eq!(taken(8, 2, &[false, false, false, true, true], 4), [1, 1, 0, 3, 3]);
        assert_eq!(taken(8, 0, &[false, true], 4), [0, 4]);
        assert_eq!(taken(2, 5, &[true, false, false], 4), [1, 1, 0]);
        let many: Vec<_> = [false; 300].into_iter().chain([true]).collect();
        assert_eq!(taken(256, 64, &many, 4).last(), Some(&4));
        assert_eq!(taken(256, 64, &many, 4).iter().sum::<u32>(), 68);
    }

    #[test]
    fn no_tenant_fills_a_worker_and_many_of_them_leave_room_for_a_newcomer() {
        /// How many places each of several tenants gets that want as many as they can get, one after the other.
        fn fill(tenants: usize, proven: bool) -> (Vec<u32>, LeaseRequest) {
            let names: Vec<_> = (0..tenants).map(|number| format!("tenant {number}")).collect();
            let mut has = vec![0_u32; tenants];
            loop {
                let mut request = LeaseRequest::new(LeaseToken::random().unwrap(), DAY, 256 - has.iter().sum::<u32>());
                let places = if proven { request.limit } else { 128 - has.iter().sum::<u32>() };
                request.unproven = places;
                let held =
                    names.iter().zip(&has).map(|(name, has)| Held::new(&**name, *has, if proven { 0 } else { *has }));
                request.held = Some(held.collect());
                let mut shares = Shares::new(&request, (0..tenants * 100).map(|_| proven));
                let mut taken = vec![0; tenants];
                for (place, name) in std::iter::repeat_n(names.iter().enumerate(), 100).flatten() {
                    let count = shares.next(proven, name).min(4);
                    shares.took(count, proven, name);
                    taken[place] += count;
                }
                if taken.iter().sum::<u32>() == 0 {
                    return (has, request);
                }
                has.iter_mut().zip(taken).for_each(|(has, taken)| *has += taken);
            }
        }

        for (tenants, proven, least, most) in
            [(1, true, 120, 128), (2, true, 80, 90), (10, true, 20, 26), (1, false, 56, 64), (4, false, 22, 28)]
        {
            let (has, request) = fill(tenants, proven);
            assert!(has.iter().all(|has| (least..=most).contains(has)), "{tenants}: {has:?}");
            let [full, full_of_unproven] = full_tenants(&request);
            assert_eq!(if proven { full.len() } else { full_of_unproven.len() }, tenants, "{has:?}");
            let mut shares = Shares::new(&request, [proven].into_iter());
            assert!(shares.next(proven, "newcomer") > 0, "{has:?}");
        }
        // Without names there is nobody else to leave room for.
        let mut request = LeaseRequest::new(LeaseToken::random().unwrap(), DAY, 8);
        request.held = Some([Held::new("", 248, 0)].into());
        assert_eq!(Shares::new(&request, [true].into_iter()).next(true, ""), 8);
        assert_eq!(full_tenants(&request), [Vec::<&str>::new(), Vec::new()]);
    }
}
