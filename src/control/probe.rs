//! Whether the upstream accepts: asked by a drain and by `/ready`, never by the path of a byte.

use std::{io, os::fd::AsFd, time::Duration};

use rustix::net::{SendFlags, send};
use tokio::{
    net::UnixStream,
    time::{sleep_until, timeout},
};

use crate::{
    config::{SendProxy, UpstreamAddr},
    edge::{
        dial::{Dialer, Failure},
        proxy_protocol,
    },
    sys,
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
    dialer: &Dialer,
) -> io::Result<()> {
    let header = proxy_protocol::own(version);
    let sleep = |until: std::time::Instant| sleep_until(until.into());
    let reach = async {
        match upstream {
            UpstreamAddr::Unix(path) => greet(UnixStream::connect(path).await?, &header),
            UpstreamAddr::Ip(address) => {
                let addresses = [*address];
                let race = dialer.race(&addresses, bound, sys::stream_socket, sleep);
                greet(race.await?.0, &header)
            }
            UpstreamAddr::Name { host, port } => {
                let resolved = dialer.resolve((host, *port), bound, sleep).await;
                let addresses = resolved.map_err(Failure::from)?;
                let race = dialer.race(&addresses, bound, sys::stream_socket, sleep);
                greet(race.await?.0, &header)
            }
        }
    };
    timeout(bound, reach)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The header is the first that is sent, and finds room.
fn greet(socket: impl AsFd, header: &[u8]) -> io::Result<()> {
    if !header.is_empty() {
        send(socket, header, SendFlags::NOSIGNAL)?;
    }
    Ok(())
}
