//! A connection through the forwarder, both ends in hand.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    thread,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

use super::{PATIENCE, Pattern, eventually_some};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToUpstream,
    ToClient,
}

/// A listener that stands for the server; a test accepts by itself.
pub(crate) struct Origin(pub(crate) TcpListener);

impl Origin {
    pub(crate) fn bind() -> Self {
        Self::from(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The next connection.
    ///
    /// # Panics
    /// None comes.
    pub(crate) fn accept(&self) -> TcpStream {
        let (stream, _) = self.0.accept().expect("a connection from the forwarder");
        patient(stream)
    }
}

impl From<TcpListener> for Origin {
    fn from(listener: TcpListener) -> Self {
        // It bounds accept(2) too.
        SockRef::from(&listener)
            .set_read_timeout(Some(PATIENCE))
            .unwrap();
        Self(listener)
    }
}

/// A connection through the forwarder.
pub(crate) struct Link {
    /// The client's end.
    pub(crate) client: TcpStream,
    /// The server's end.
    pub(crate) server: TcpStream,
}

impl Link {
    /// Connects to the forwarder at `to` and takes what it makes of that from `origin`. To be
    /// called by one thread at a time, so that the two belong together.
    pub(crate) fn open(to: SocketAddr, origin: &Origin) -> Self {
        let client = connect(to);
        let server = origin.accept();
        Self { client, server }
    }

    /// The sender and the receiver of this direction.
    pub(crate) fn ends(&self, direction: Direction) -> (&TcpStream, &TcpStream) {
        match direction {
            Direction::ToUpstream => (&self.client, &self.server),
            Direction::ToClient => (&self.server, &self.client),
        }
    }

    /// The sender and the receiver of this direction.
    pub(crate) fn into_ends(self, direction: Direction) -> (TcpStream, TcpStream) {
        match direction {
            Direction::ToUpstream => (self.client, self.server),
            Direction::ToClient => (self.server, self.client),
        }
    }

    /// Sends a message each way and back: the link works.
    pub(crate) fn round_trip(&self) {
        exchange(&self.client, &self.server, b"ping");
        exchange(&self.server, &self.client, b"pong");
    }
}

/// A client's connection.
pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    patient(TcpStream::connect(to).expect("the forwarder listens"))
}

/// A stream whose calls fail instead of hanging, and which sends at once.
pub(crate) fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends a message from one end to the other.
pub(crate) fn exchange(mut from: &TcpStream, mut to: &TcpStream, message: &[u8]) {
    from.write_all(message).unwrap();
    let mut received = vec![0; message.len()];
    to.read_exact(&mut received).unwrap();
    assert_eq!(received, message);
}

/// Sends a part of a stream and a FIN, and reads the stream from its start to its end.
///
/// # Panics
/// A byte is wrong or missing, or the end is no FIN.
pub(crate) fn pass_to_end(
    pattern: &Pattern,
    sender: &TcpStream,
    receiver: &TcpStream,
    part: Range<usize>,
) {
    let all = part.end;
    thread::scope(|scope| {
        scope.spawn(|| {
            pattern.send(sender, part);
            sender.shutdown(Shutdown::Write).unwrap();
        });
        pattern.receive(receiver, 0..all);
        assert_eq!(read_out(receiver), (Vec::new(), End::Fin));
    });
}

/// Writes the stream from its start, `chunk` bytes at once, until nobody takes any more; returns
/// how many bytes were taken.
pub(crate) fn send_until_stuck(mut sender: &TcpStream, pattern: &Pattern, chunk: usize) -> usize {
    sender.set_write_timeout(Some(STUCK)).unwrap();
    let mut sent = 0;
    loop {
        match sender.write(pattern.slice(sent, chunk)) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => panic!("after {sent} bytes: {error}"),
        }
    }
    sender.set_write_timeout(Some(PATIENCE)).unwrap();
    sent
}

/// Whoever takes nothing for so long is stuck. Should it only be slow, the tests hold all the same.
const STUCK: Duration = Duration::from_millis(400);

/// How a stream ended, as its reader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Fin,
    Reset,
}

/// What the kernel was told of the peer's end, whatever is still to be read before it.
///
/// # Panics
/// Nothing.
pub(crate) fn told(stream: &TcpStream) -> End {
    eventually_some("the end of the peer is told", || {
        let events = events(stream);
        if events.contains(PollFlags::ERR) {
            Some(End::Reset)
        } else {
            events.contains(PollFlags::RDHUP).then_some(End::Fin)
        }
    })
}

/// Whether the peer was told to have reset the connection, before or after a FIN.
pub(crate) fn is_reset(stream: &TcpStream) -> bool {
    events(stream).contains(PollFlags::ERR)
}

fn events(stream: &TcpStream) -> PollFlags {
    let mut asked = [PollFd::new(stream, PollFlags::RDHUP)];
    poll(&mut asked, Some(&Timespec::default())).unwrap();
    asked[0].revents()
}

/// All that is still to be read, and how it ended.
///
/// # Panics
/// It does not end, or in another way.
pub(crate) fn read_out(mut from: impl Read) -> (Vec<u8>, End) {
    let mut bytes = Vec::new();
    let mut space = vec![0; 64 * 1024];
    loop {
        match from.read(&mut space) {
            Ok(0) => return (bytes, End::Fin),
            Ok(count) => bytes.extend_from_slice(&space[..count]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return (bytes, End::Reset);
            }
            Err(error) => panic!(
                "neither a FIN nor a reset after {} bytes: {error}",
                bytes.len()
            ),
        }
    }
}

/// Ends a connection with a reset.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}
