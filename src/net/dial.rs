use std::{io, net::SocketAddr, time::Duration};

use tokio::{net::TcpStream, time::timeout};

/// Dials one address after the other. Each gets its share of the time, so that one that does not answer leaves time for the next.
pub(crate) async fn dial(addresses: &[SocketAddr], mut left: Duration) -> io::Result<(SocketAddr, TcpStream)> {
    let mut last = io::ErrorKind::NotFound.into();
    for (address, others) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
        let share = left / others;
        match timeout(share, dial_one(*address)).await {
            Ok(Ok(stream)) => return Ok((*address, stream)),
            Ok(Err(cause)) => last = cause,
            Err(_) => {
                last = io::ErrorKind::TimedOut.into();
                left -= share;
            }
        }
    }
    Err(last)
}

async fn dial_one(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // A request is one write, so waiting for more data would only delay it.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A name can have any number of addresses; a few are enough to find one that answers.
pub(crate) const MOST_ADDRESSES: usize = 8;
