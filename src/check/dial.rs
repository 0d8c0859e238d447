//! Connecting, as a check does it: bounded in time, and saying why it failed.

use std::{fmt, io, net::SocketAddr, path::Path, time::Duration};

use tokio::{
    net::{TcpStream, UnixStream, lookup_host},
    time::timeout,
};

/// Why nobody was reached.
#[derive(Debug)]
pub(super) enum Failure {
    /// The name has no address.
    Unresolved(io::Error),
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
    match timeout(bound, lookup_host((host, port))).await {
        Err(_) => Err(Failure::TimedOut(bound)),
        Ok(Err(error)) => Err(Failure::Unresolved(error)),
        Ok(Ok(addresses)) => {
            let addresses: Vec<_> = addresses.collect();
            match addresses.is_empty() {
                true => Err(Failure::Unresolved(io::ErrorKind::NotFound.into())),
                false => Ok(addresses),
            }
        }
    }
}

pub(super) async fn tcp(address: SocketAddr, bound: Duration) -> Result<TcpStream, Failure> {
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing is forwarded here: no worker, no alarms, no socket options"
    )]
    let connect = TcpStream::connect(address);
    let connected = timeout(bound, connect).await;
    Ok(connected.map_err(|_| Failure::TimedOut(bound))??)
}

pub(super) async fn unix(path: &Path, bound: Duration) -> Result<UnixStream, Failure> {
    let connected = timeout(bound, UnixStream::connect(path)).await;
    Ok(connected.map_err(|_| Failure::TimedOut(bound))??)
}

/// Each of several addresses gets an even share of the time that is left, as in the forwarder.
/// Returns the first that answers, with those that failed before it.
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
