use std::{net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use tokio::time::timeout;

use crate::{
    net::{
        connection::Connection,
        error::{DialError, DialErrorKind},
        identity::ClientIdentity,
        idle::Key,
        stage::Stage,
    },
    send::{
        attempt::{AttemptError, AttemptErrorKind, AttemptRequest, EndpointResponse, ResponseEnd},
        client::{inner::Inner, redact, retry_after},
    },
};

/// How far an attempt has come. It is updated continuously, so that the state is known when the deadline passes.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) stage: Stage,
    answer: Option<Partial>,
}

struct Partial {
    status: StatusCode,
    retry_after: Option<Duration>,
    start: BytesMut,
    /// `None` while the body is being read.
    end: Option<ResponseEnd>,
}

impl Progress {
    /// Returns what was answered, as far as it arrived.
    pub(super) fn into_answer(self, by_deadline: bool) -> Option<EndpointResponse> {
        let Partial { status, retry_after, start, end } = self.answer?;
        let interrupted = if by_deadline { ResponseEnd::Deadline } else { ResponseEnd::Cut };
        let mut answer =
            EndpointResponse::new(status).with_body(redact::secrets(start.freeze()), end.unwrap_or(interrupted));
        if let Some(retry_after) = retry_after {
            answer = answer.with_retry_after(retry_after);
        }
        Some(answer)
    }
}

impl Inner {
    /// Makes one attempt, without its deadline.
    pub(super) async fn exchange(&self, request: AttemptRequest, progress: &mut Progress) -> Result<(), AttemptError> {
        self.policy
            .check(&request.url)
            .map_err(|cause| AttemptError::new(AttemptErrorKind::RefusedDestination).with_source(cause))?;
        let addresses = self.dialler.addresses(&request.url, &self.policy).await?;
        let identity = request.identity.as_ref();
        let key = |address: SocketAddr| Key::new(&request.url, address, identity.map(ClientIdentity::id));
        let mut to_send = self.request(&request);

        // If an idle connection closes before anything was sent on it, it returns the request, and the next one is tried.
        while let Some((idle, mut connection)) = self.idle.take(addresses.iter().copied().map(key)) {
            progress.stage = Stage::Answer;
            connection.budget.refill();
            // Its task may be just finishing the last request, which must not take long.
            if !matches!(timeout(READY_WITHIN, connection.sender.ready()).await, Ok(Ok(()))) {
                continue;
            }
            match connection.sender.try_send_request(to_send).await {
                Ok(response) => return self.read(idle, connection, response, progress).await,
                Err(mut refused) => match refused.take_message() {
                    Some(request) => to_send = request,
                    None => return Err(connection.failed(refused.into_error()).await.into()),
                },
            }
        }
        let (address, mut connection) =
            self.dialler.connect(&request.url, &addresses, identity, &mut progress.stage).await?;
        progress.stage = Stage::Answer;
        match connection.sender.send_request(to_send).await {
            Ok(response) => self.read(key(address), connection, response, progress).await,
            Err(cause) => Err(connection.failed(cause).await.into()),
        }
    }

    fn request(&self, request: &AttemptRequest) -> Request<Full<Bytes>> {
        let mut sent = Request::new(Full::new(request.body.clone()));
        *sent.method_mut() = Method::POST;
        *sent.uri_mut() = Uri::from(request.url.path().clone());
        *sent.headers_mut() = request.headers.clone();
        let headers = sent.headers_mut();
        for name in OURS {
            headers.remove(name);
        }
        let host = HeaderValue::from_str(request.url.authority());
        headers.insert(header::HOST, host.expect("the host and the port of a URL are visible ASCII"));
        headers.insert(header::USER_AGENT, self.user_agent.clone());
        sent
    }

    async fn read(
        &self,
        key: Key,
        connection: Connection,
        response: Response<Incoming>,
        progress: &mut Progress,
    ) -> Result<(), AttemptError> {
        let (head, mut body) = response.into_parts();
        let answer = progress.answer.insert(Partial {
            status: head.status,
            retry_after: retry_after::parse(&head.headers, self.clock.now()),
            start: BytesMut::new(),
            end: None,
        });

        let mut read = 0;
        let mut kept_all = true;
        while let Some(frame) = body.frame().await {
            let data = match frame.map(Frame::into_data) {
                Ok(Ok(data)) => data,
                Ok(Err(_trailers)) => continue,
                Err(_) if connection.budget.is_spent() => {
                    answer.end = Some(ResponseEnd::Limit);
                    return Ok(());
                }
                Err(cause) => return Err(connection.failed(cause).await.into()),
            };
            read += data.len();
            let room = EndpointResponse::MAX_KEPT - answer.start.len();
            answer.start.extend_from_slice(&data[..data.len().min(room)]);
            kept_all &= data.len() <= room;
            if read > MOST_READ {
                answer.end = Some(ResponseEnd::Limit);
                return Ok(());
            }
        }
        answer.end = Some(if kept_all { ResponseEnd::Whole } else { ResponseEnd::Shortened });
        self.idle.put(key, connection);
        Ok(())
    }
}

/// At this point an error of the network becomes an error of an attempt.
impl From<DialError> for AttemptError {
    fn from(error: DialError) -> Self {
        let kind = match error.kind {
            DialErrorKind::Connect => AttemptErrorKind::Connect,
            DialErrorKind::Dns => AttemptErrorKind::Dns,
            DialErrorKind::Protocol => AttemptErrorKind::Protocol,
            DialErrorKind::Proxy => AttemptErrorKind::Proxy,
            DialErrorKind::RefusedDestination => AttemptErrorKind::RefusedDestination,
            DialErrorKind::Tls => AttemptErrorKind::Tls,
            DialErrorKind::TlsExpired => AttemptErrorKind::TlsExpired,
            DialErrorKind::TlsName => AttemptErrorKind::TlsName,
            DialErrorKind::TlsUntrusted => AttemptErrorKind::TlsUntrusted,
        };
        Self::new(kind).with_source(error.source)
    }
}

/// Headers that belong to HTTP itself, and that nothing else may set.
const OURS: [HeaderName; 8] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// How long an idle connection may take to be ready. One that takes longer is not idle.
const READY_WITHIN: Duration = Duration::from_millis(100);

/// The maximum that is read of a response's body.
const MOST_READ: usize = 64 * 1024;
