use std::{
    io,
    net::{IpAddr, ToSocketAddrs},
};

use tokio::{sync::Semaphore, task::spawn_blocking};
use url::Host;

use crate::boxed::BoxFuture;

/// Looks names up. It is called once for each attempt. Every address that it returns is checked against the policy before
/// anything is dialled.
///
/// ```
/// use std::{io, net::IpAddr};
/// use tower_webhooks::{BoxFuture, send::{GuardedClient, Resolver}};
///
/// struct Fixed;
///
/// impl Resolver for Fixed {
///     fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
///         let known = name == "customer.example";
///         Box::pin(async move { if known { Ok(vec![[93, 184, 216, 34].into()]) } else { Err(io::Error::other("no such name")) } })
///     }
/// }
///
/// let client = GuardedClient::builder().resolver(Fixed).build()?;
/// # Ok::<(), tower_webhooks::ConfigError>(())
/// ```
pub trait Resolver: Send + Sync + 'static {
    /// Returns the addresses of a name, in the order in which they are to be tried.
    ///
    /// # Errors
    /// When the name has no address, or the look-up fails.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver, which is the default.
///
/// A look-up that hangs holds one of the runtime's blocking threads until the system gives up, which may be long after the
/// attempt has ended. A process runs at most 256 look-ups at once, so that names whose servers never answer do not take all
/// of these threads. Further look-ups wait until one is free or their attempt ends. If strangers can register endpoints, let the
/// system give up early (`options timeout:1 attempts:2` in `resolv.conf`), or set a resolver that can be cancelled.
///
/// ```
/// use tower_webhooks::send::{GuardedClient, SystemResolver};
///
/// let client = GuardedClient::builder().resolver(SystemResolver).build()?; // as without the call
/// # Ok::<(), tower_webhooks::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::exhaustive_structs)] // A unit struct with nothing to add.
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let name = name.to_owned();
            bounded(&LOOK_UPS, move || {
                // The system wants a port, and returns it with each address. Only the addresses are used.
                Ok((name.as_str(), 0).to_socket_addrs()?.map(|address| address.ip()).collect())
            })
            .await
        })
    }
}

/// Returns the addresses of a host, unchecked; at least one.
pub(crate) async fn look_up(resolver: &dyn Resolver, host: &Host<String>) -> io::Result<Vec<IpAddr>> {
    let found = match host {
        Host::Ipv4(address) => vec![IpAddr::V4(*address)],
        Host::Ipv6(address) => vec![IpAddr::V6(*address)],
        Host::Domain(name) => resolver.resolve(name).await?,
    };
    if found.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(found) }
}

/// Runs a blocking function. It keeps its place until it has ended, even if its caller was dropped.
async fn bounded<T: Send + 'static>(
    places: &'static Semaphore,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let place = places.acquire().await.map_err(io::Error::other)?;
    let work = move || {
        let _place = place;
        work()
    };
    spawn_blocking(work).await?
}

/// As many as a worker has attempts in flight, and half of tokio's blocking threads.
static LOOK_UPS: Semaphore = Semaphore::const_new(256);

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use tokio::{sync::Semaphore, time::timeout};

    use super::bounded;

    #[tokio::test]
    async fn what_hangs_keeps_its_place_when_nobody_waits_for_it_any_more() {
        static ONE: Semaphore = Semaphore::const_new(1);
        let (release, released) = mpsc::channel::<()>();
        let soon = Duration::from_millis(50);

        let hanging = bounded(&ONE, move || Ok(released.recv().is_err()));
        assert!(timeout(soon, hanging).await.is_err());
        assert!(timeout(soon, bounded(&ONE, || Ok(()))).await.is_err(), "there is no second place");

        drop(release);
        assert!(timeout(Duration::from_secs(60), bounded(&ONE, || Ok(()))).await.is_ok());
    }
}
