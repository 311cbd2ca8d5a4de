//! The smallest HTTP client that sends a webhook: one POST on a connection of its own.

use std::net::SocketAddr;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::server::BoxError;

/// Sends `body` with `headers`, and returns the status and the body of the response.
pub(crate) async fn post(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, String)],
    body: &str,
) -> Result<(StatusCode, String), BoxError> {
    let mut request = Request::post(path).header(header::HOST, address.to_string());
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let request = request.body(Full::new(bytes::Bytes::from(body.to_owned())))?;

    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (head, answer) = sender.send_request(request).await?.into_parts();
    let answer = answer.collect().await?.to_bytes();
    Ok((head.status, String::from_utf8_lossy(&answer).into_owned()))
}
