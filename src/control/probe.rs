//! Whether the upstream accepts: asked by a drain and by `/ready`, never by the path of a byte.

use std::{io, time::Duration};

use tokio::{
    net::{TcpStream, ToSocketAddrs, UnixStream},
    time::timeout,
};

use crate::config::UpstreamAddr;

/// Connects to an upstream and hangs up.
///
/// # Errors
/// It can't be reached, or not within `bound`.
pub(crate) async fn probe(upstream: &UpstreamAddr, bound: Duration) -> io::Result<()> {
    let connect = async {
        match upstream {
            UpstreamAddr::Ip(addr) => drop(tcp(addr).await?),
            UpstreamAddr::Name { host, port } => drop(tcp((host.as_str(), *port)).await?),
            UpstreamAddr::Unix(path) => drop(UnixStream::connect(path).await?),
        }
        Ok(())
    };
    timeout(bound, connect)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a probe relays nothing and wants no options"
)]
async fn tcp(addr: impl ToSocketAddrs) -> io::Result<TcpStream> {
    TcpStream::connect(addr).await
}
