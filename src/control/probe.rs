//! Whether the upstream accepts: asked by a drain and by `/ready`, never by the path of a byte.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, ToSocketAddrs, UnixStream},
    time::timeout,
};

use crate::{
    config::{SendProxy, UpstreamAddr},
    edge::proxy_protocol,
};

/// Connects to an upstream, says that it is nobody's connection where `--proxy-protocol` demands a
/// word, and hangs up.
///
/// # Errors
/// It can't be reached, or not within `bound`.
pub(crate) async fn probe(
    upstream: &UpstreamAddr,
    version: SendProxy,
    bound: Duration,
) -> io::Result<()> {
    let header = proxy_protocol::own(version);
    let connect = async {
        match upstream {
            UpstreamAddr::Ip(addr) => greet(tcp(addr).await?, &header).await,
            UpstreamAddr::Name { host, port } => {
                greet(tcp((host.as_str(), *port)).await?, &header).await
            }
            UpstreamAddr::Unix(path) => greet(UnixStream::connect(path).await?, &header).await,
        }
    };
    timeout(bound, connect)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn greet(mut stream: impl AsyncWrite + Unpin, header: &[u8]) -> io::Result<()> {
    stream.write_all(header).await
}

#[expect(
    clippy::disallowed_methods,
    reason = "a probe relays nothing and wants no options"
)]
async fn tcp(addr: impl ToSocketAddrs) -> io::Result<TcpStream> {
    TcpStream::connect(addr).await
}
