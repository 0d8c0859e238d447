//! The PROXY protocol: which client a connection is from, told between proxies in its first bytes.

mod header;

use std::{
    future::poll_fn,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, SocketAddrUnix, getsockname, recv, send},
};

use self::header::{Addresses, HeaderError, MAX_LEN, Told};
use crate::{
    account::live::ClientPeer,
    config::SendProxy,
    path::{
        alarms::Alarms,
        socket::{Short, Socket},
    },
};

/// From accept to the end of the header. The specification asks for 3 seconds at least, which a lost
/// segment takes; a sender has no reason for a second one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a client gave no header.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unheaded {
    #[error("malformed: {0}")]
    Malformed(#[from] HeaderError),
    #[error("cut short")]
    CutShort,
    #[error("late")]
    Late,
    #[error("the connection failed: {0}")]
    Failed(#[from] Errno),
}

impl Unheaded {
    /// That of the connection, if it has failed.
    pub(crate) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Failed(errno) => Some(*errno),
            Self::Malformed(_) | Self::CutShort | Self::Late => None,
        }
    }
}

/// Receives a client's header, and not one byte more; what follows is the relay's.
///
/// # Errors
/// There is none, or not within [`PATIENCE`] of `opened`.
pub(crate) async fn receive(
    client: &Socket,
    opened: Instant,
    alarms: &Alarms,
) -> Result<Option<Addresses>, Unheaded> {
    let mut reading = pin!(read(client));
    let header = match alarms.bound(opened + PATIENCE, reading.as_mut()).await {
        Some(header) => header,
        // A worker that was held up may be late itself: what has come by now counts.
        None => {
            client.read_eagerly();
            let last = poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await;
            match last {
                Poll::Ready(header) => header,
                Poll::Pending => return Err(Unheaded::Late),
            }
        }
    };
    Ok(header::parse(&header?)?)
}

/// Looks at what is there, takes of it what belongs to the header, and goes on until that is whole.
/// A look alone would not tell the end of the stream from a sender that pauses.
async fn read(client: &Socket) -> Result<Vec<u8>, Unheaded> {
    let mut bytes = vec![0; MAX_LEN];
    let mut taken = 0;
    client.read_eagerly();
    loop {
        let space = &mut bytes[taken..];
        // A short look has seen all that the socket holds, and the rest of it is taken below or
        // left to the relay, whose first read does not ask the reactor.
        let short = Short::Exhausts(space.len());
        let seen = poll_fn(|cx| {
            client.poll_read(cx, short, |fd| {
                recv(fd, &mut *space, RecvFlags::PEEK).map(|(count, _)| count)
            })
        });
        let seen = taken + seen.await?;
        if seen == taken {
            return Err(Unheaded::CutShort);
        }
        let length = header::length(&bytes[..seen])?;
        let whole = length.is_some_and(|length| length <= seen);
        let belongs = length.map_or(seen, |length| length.min(seen));
        while taken < belongs {
            let (count, _) = recv(
                client.as_fd(),
                &mut bytes[taken..belongs],
                RecvFlags::empty(),
            )?;
            taken += count;
        }
        if whole {
            bytes.truncate(taken);
            return Ok(bytes);
        }
    }
}

/// What an upstream is told.
pub(crate) struct Announcement<'a> {
    /// Who the client is.
    pub(crate) client: ClientPeer,
    /// Where it meant to go, as its own header said; else that is the address of its socket.
    pub(crate) destination: Option<SocketAddr>,
    /// The client's socket.
    pub(crate) socket: &'a OwnedFd,
}

impl Announcement<'_> {
    /// Sends it, as the first bytes of the connection.
    ///
    /// # Errors
    /// What send(2) fails with.
    pub(crate) async fn send(&self, upstream: &Socket, version: SendProxy) -> Result<(), Errno> {
        write(upstream, &self.encode(version)?).await
    }

    fn encode(&self, version: SendProxy) -> Result<Vec<u8>, Errno> {
        let listener;
        let told = match self.client {
            ClientPeer::Ip(source) => Told::Tcp(Addresses {
                source,
                destination: match self.destination {
                    Some(destination) => destination,
                    None => getsockname(self.socket)?.try_into()?,
                },
            }),
            ClientPeer::Unix => {
                listener = SocketAddrUnix::try_from(getsockname(self.socket)?)?;
                Told::Unix(listener.path_bytes().unwrap_or_default())
            }
        };
        Ok(told.encode(version))
    }
}

/// What goes first on a connection of this process's own, which is nobody's: a probe.
pub(crate) fn own(version: SendProxy) -> Vec<u8> {
    Told::Nobody.encode(version)
}

impl Told<'_> {
    fn encode(self, version: SendProxy) -> Vec<u8> {
        match version {
            SendProxy::Off => Vec::new(),
            SendProxy::V1 => self.v1(),
            SendProxy::V2 => self.v2(),
        }
    }
}

async fn write(upstream: &Socket, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let short = Short::Exhausts(bytes.len());
        let sent =
            poll_fn(|cx| upstream.poll_write(cx, short, |fd| send(fd, bytes, SendFlags::NOSIGNAL)));
        bytes = &bytes[sent.await?..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        net::{Ipv4Addr, TcpListener, TcpStream},
        sync::Arc,
    };

    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn a_header_that_came_before_a_late_deadline_was_looked_at_counts() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let look = socket.try_clone().unwrap();
        let alarms = Alarms::new(Arc::default(), Arc::default());
        let runtime = Builder::new_current_thread().enable_io().build().unwrap();
        let opened = Instant::now();
        let header = runtime.block_on(async {
            let client = Socket::tcp(socket.into()).unwrap();
            let held_up = async {
                peer.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello")
                    .unwrap();
                // It is there, and the thread has not come to its reactor.
                while look.peek(&mut [0; 64]).is_err() {}
                alarms.ring(opened + PATIENCE);
            };
            tokio::join!(receive(&client, opened, &alarms), held_up).0
        });
        let source = header.unwrap().unwrap().source;
        assert_eq!(source.to_string(), "192.0.2.1:1");
        let mut rest = [0; 64];
        assert_eq!(look.peek(&mut rest).unwrap(), 5);
        assert_eq!(&rest[..5], b"hello");
    }
}
