/// The step for which a request to a destination is waiting.
#[derive(Clone, Copy, Default)]
pub(crate) enum Stage {
    #[default]
    Resolve,
    Connect,
    Proxy,
    Tls,
    Answer,
}

impl Stage {
    pub(crate) fn waited_for(self) -> &'static str {
        match self {
            Self::Resolve => "waited for the look-up of the name",
            Self::Connect => "waited for a connection",
            Self::Proxy => "waited for the egress proxy",
            Self::Tls => "waited for the TLS handshake",
            Self::Answer => "waited for the head of the answer",
        }
    }
}
