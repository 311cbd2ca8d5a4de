use std::{io, net::IpAddr};

use crate::boxed::BoxFuture;

/// Looks names up. It is asked once for each attempt; whatever it says is checked against the policy before anything is
/// dialled.
pub trait Resolver: Send + Sync + 'static {
    /// Gives the addresses of a name, in the order in which they are to be tried.
    ///
    /// # Errors
    /// When the name has none, or nobody could be asked.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver, the default.
///
/// A look-up that hangs holds one of the runtime's blocking threads until the system gives up, which is after the attempt
/// has ended.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::exhaustive_structs)] // A unit struct with nothing to add.
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            // The port is the system's to know of services by name; ours is put on the address that is dialled.
            Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
        })
    }
}
