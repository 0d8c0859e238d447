//! Upstreams that are not there: those that refuse, and those that say nothing.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use socket2::{Domain, SockAddr, Socket, Type};

use super::Origin;

/// A port that is taken, and refuses: nobody listens.
pub(crate) struct Nobody(Socket);

impl Nobody {
    pub(crate) fn new() -> Self {
        Self::at((Ipv4Addr::LOCALHOST, 0).into()).unwrap()
    }

    pub(crate) fn at(addr: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&addr.into())?;
        Ok(Self(socket))
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap().as_socket().unwrap()
    }

    /// From now on somebody does.
    pub(crate) fn listen(self) -> Origin {
        self.0.listen(16).unwrap();
        Origin::from(TcpListener::from(self.0))
    }
}

/// A listener whose backlog is full: the kernel drops what comes, and says nothing.
pub(crate) struct BlackHole {
    listener: Socket,
    _backlog: Vec<Socket>,
}

impl BlackHole {
    pub(crate) fn new() -> Self {
        let Nobody(listener) = Nobody::new();
        listener.listen(0).unwrap();
        let addr: SockAddr = listener.local_addr().unwrap();
        let mut backlog = Vec::new();
        loop {
            let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            match filler.connect_timeout(&addr, Duration::from_millis(300)) {
                Ok(()) => backlog.push(filler),
                Err(error) if error.kind() == ErrorKind::TimedOut => break,
                Err(error) => panic!("the backlog takes or drops: {error}"),
            }
        }
        Self {
            listener,
            _backlog: backlog,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.listener.local_addr().unwrap().as_socket().unwrap()
    }

    /// From now on it accepts: whoever was dropped gets in with its next try, a second later.
    pub(crate) fn open(self) -> Origin {
        for _ in &self._backlog {
            self.listener.accept().unwrap();
        }
        Origin::from(TcpListener::from(self.listener))
    }
}
