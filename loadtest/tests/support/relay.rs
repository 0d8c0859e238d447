//! Relays that do their work, or do not.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// What a relay does with the bytes towards its client: it may change the piece, take from it or
/// add to it. `None` is told at the end, before the FIN, and what is left in the piece then is sent.
pub(crate) trait Change: FnMut(Option<usize>, &mut Vec<u8>) + Send + 'static {}

impl<F: FnMut(Option<usize>, &mut Vec<u8>) + Send + 'static> Change for F {}

/// A relay whose bytes towards the client pass through `change`. Its threads end with the test
/// process.
pub(crate) fn relay(upstream: SocketAddr, change: fn(&mut [u8])) -> SocketAddr {
    crooked_relay(upstream, move |_| {
        move |_: Option<usize>, piece: &mut Vec<u8>| change(piece)
    })
}

/// A relay that makes a `Change` for each connection, by its number. Change is told the offset of
/// each piece in the stream.
pub(crate) fn crooked_relay<C: Change>(
    upstream: SocketAddr,
    changes: impl Fn(usize) -> C + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for number in 0.. {
            let Ok((client, _)) = listener.accept() else {
                return;
            };
            let server = TcpStream::connect(upstream).unwrap();
            let (to_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let change = changes(number);
            thread::spawn(move || copy(client, to_server, |_, _| ()));
            thread::spawn(move || copy(server, to_client, change));
        }
    });
    addr
}

fn copy(
    mut from: TcpStream,
    mut to: TcpStream,
    mut change: impl FnMut(Option<usize>, &mut Vec<u8>),
) {
    to.set_nodelay(true).ok();
    let mut buffer = vec![0; 64 * 1024];
    let mut offset = 0;
    loop {
        let read = from.read(&mut buffer);
        let (at, mut piece) = match read {
            Ok(length @ 1..) => (Some(offset), buffer[..length].to_vec()),
            _ => (None, Vec::new()),
        };
        offset += piece.len();
        change(at, &mut piece);
        if to.write_all(&piece).is_err() || at.is_none() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).ok();
}
