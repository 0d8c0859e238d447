//! Connecting, as a check does it: bounded in time, and saying why it failed.

use std::{
    fmt, io,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpStream, UnixStream},
    time::{Sleep, sleep_until, timeout},
};

use crate::{
    edge::{dial, dial::Dialer, resolver::Unresolved},
    sys,
};

/// Why nobody was reached.
#[derive(Debug)]
pub(super) enum Failure {
    /// The name has no address.
    Unresolved(Unresolved),
    /// Nobody listens.
    Refused,
    /// Nobody answered within this time.
    TimedOut(Duration),
    Other(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved(error) => write!(f, "the name cannot be resolved ({error})"),
            Self::Refused => f.write_str("connection refused"),
            Self::TimedOut(bound) => write!(f, "no answer within {bound:.0?}"),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // No file: nobody listens on the unix socket.
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Self::Refused,
            _ => Self::Other(error),
        }
    }
}

/// The addresses of a name, at least one.
pub(super) async fn resolve(
    host: &str,
    port: u16,
    bound: Duration,
) -> Result<Vec<SocketAddr>, Failure> {
    let resolved = Dialer::new(Vec::new())
        .resolve((host, port), bound, sleep)
        .await;
    resolved.map_err(|error| match error {
        Unresolved::Silent => Failure::TimedOut(bound),
        error => Failure::Unresolved(error),
    })
}

/// Connects as the forwarder does, if without its options: never to itself.
pub(super) async fn tcp(address: SocketAddr, bound: Duration) -> Result<TcpStream, Failure> {
    let dialer = Dialer::new(Vec::new());
    let raced = dialer
        .race(&[address], bound, sys::stream_socket, sleep)
        .await;
    match raced {
        Ok((socket, _)) => Ok(TcpStream::from_std(socket.into())?),
        Err(dial::Failure::TimedOut) => Err(Failure::TimedOut(bound)),
        Err(failure) => Err(io::Error::from(failure).into()),
    }
}

fn sleep(until: Instant) -> Sleep {
    sleep_until(until.into())
}

pub(super) async fn unix(path: &Path, bound: Duration) -> Result<UnixStream, Failure> {
    let connected = timeout(bound, UnixStream::connect(path)).await;
    Ok(connected.map_err(|_| Failure::TimedOut(bound))??)
}

/// Each of several addresses gets an even share of the time that is left, so that it is told of each
/// how it is. Returns the first that answers, with those that failed before it.
pub(super) async fn first(
    addresses: &[SocketAddr],
    bound: Duration,
) -> (Option<(SocketAddr, TcpStream)>, Vec<(SocketAddr, Failure)>) {
    let deadline = tokio::time::Instant::now() + bound;
    let mut failed = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = deadline.duration_since(tokio::time::Instant::now()) / left;
        match tcp(*address, share).await {
            Ok(stream) => return (Some((*address, stream)), failed),
            Err(failure) => failed.push((*address, failure)),
        }
    }
    (None, failed)
}
