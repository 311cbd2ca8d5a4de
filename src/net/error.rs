use crate::boxed::BoxError;

/// There is no connection to a destination, or it broke.
#[derive(Debug)]
pub(crate) struct DialError {
    pub(crate) kind: DialErrorKind,
    pub(crate) source: BoxError,
}

/// What failed on the way to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DialErrorKind {
    /// No connection could be made, or not within its time.
    Connect,
    /// The name has no address, or could not be looked up.
    Dns,
    /// The connection broke, or what came is not HTTP.
    Protocol,
    /// The egress proxy gave no way to the destination.
    Proxy,
    /// The policy allows no address of the name.
    RefusedDestination,
    /// TLS failed otherwise.
    Tls,
    /// The certificate has expired, or is not valid yet.
    TlsExpired,
    /// The certificate is for another name.
    TlsName,
    /// The certificate is not signed by an authority that is trusted.
    TlsUntrusted,
}

impl DialError {
    pub(crate) fn new(kind: DialErrorKind, source: impl Into<BoxError>) -> Self {
        Self { kind, source: source.into() }
    }
}
