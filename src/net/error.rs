use crate::boxed::BoxError;

/// A connection could not be made, or it broke.
#[derive(Debug)]
pub(crate) struct DialError {
    pub(crate) kind: DialErrorKind,
    pub(crate) source: BoxError,
}

/// What failed in a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DialErrorKind {
    /// No connection could be made, or not within its time.
    Connect,
    /// The name has no address, or could not be looked up.
    Dns,
    /// The connection broke, or the received bytes are not HTTP.
    Protocol,
    /// The egress proxy did not connect to the destination.
    Proxy,
    /// The policy does not allow any address of the name.
    RefusedDestination,
    /// TLS failed in another way.
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
