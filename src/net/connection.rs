use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use super::{
    error::{DialError, DialErrorKind},
    tls,
};
use crate::net::stream::{Budget, Stream};

/// An HTTP/1.1 connection. Dropping it closes it, also during a request.
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Full<Bytes>>,
    pub(crate) budget: Budget,
    task: JoinHandle<hyper::Result<()>>,
}

impl Connection {
    pub(crate) async fn start(stream: Box<dyn Stream>, budget: Budget) -> Result<Self, DialError> {
        let (sender, connection) = http1().handshake(TokioIo::new(stream)).await.map_err(failed)?;
        // hyper reads and writes in this task. It ends with the connection, or when `Drop` below ends it.
        let task = tokio::spawn(connection);
        Ok(Self { sender, budget, task })
    }

    /// Returns the error of a failed request.
    pub(crate) async fn failed(mut self, mut cause: hyper::Error) -> DialError {
        // The connection was lost before the request was sent. Only its task knows why, and is about to end.
        if cause.is_canceled()
            && let Ok(Err(lost)) = (&mut self.task).await
        {
            cause = lost;
        }
        failed(cause)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns the settings of HTTP/1.1 with receivers and proxies, which limit the head.
pub(crate) fn http1() -> Builder {
    let mut builder = Builder::new();
    builder.max_headers(MOST_HEADERS).max_header_size(LARGEST_HEAD).max_buf_size(LARGEST_HEAD);
    builder
}

/// With TLS 1.3 a receiver rejects the client's certificate, or its absence, only after the handshake.
fn failed(cause: hyper::Error) -> DialError {
    let kind = if tls::is_behind(&cause) { DialErrorKind::Tls } else { DialErrorKind::Protocol };
    DialError::new(kind, cause)
}

const MOST_HEADERS: usize = 100;
const LARGEST_HEAD: usize = 16 * 1024;
