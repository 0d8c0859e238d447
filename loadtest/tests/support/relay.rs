//! Relays that do their work, or do not.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// A relay whose bytes towards the client pass through `change`. Its threads end with the test
/// process.
pub(crate) fn relay(upstream: SocketAddr, change: fn(&mut [u8])) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            let server = TcpStream::connect(upstream).unwrap();
            let (to_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || copy(client, to_server, |_| ()));
            thread::spawn(move || copy(server, to_client, change));
        }
    });
    addr
}

fn copy(mut from: TcpStream, mut to: TcpStream, change: fn(&mut [u8])) {
    to.set_nodelay(true).ok();
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        change(&mut buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).ok();
}
