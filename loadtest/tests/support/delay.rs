//! A relay that adds a delay which is known to the microsecond.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// What each piece was really held back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held(Arc<Mutex<Vec<Duration>>>);

impl Held {
    /// The median, in nanoseconds.
    pub(crate) fn median(&self) -> f64 {
        let mut held = self.0.lock().unwrap().clone();
        held.sort_unstable();
        held[held.len() / 2].as_nanos() as f64
    }
}

/// A relay that passes each piece towards its client on when it has had it for `delay`. Its threads
/// end with the test process.
pub(crate) fn delaying_relay(upstream: SocketAddr, delay: Duration) -> (SocketAddr, Held) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, held) = (listener.local_addr().unwrap(), Held::default());
    let told = held.clone();
    thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            let server = TcpStream::connect(upstream).unwrap();
            for stream in [&client, &server] {
                stream.set_nodelay(true).unwrap();
            }
            let (mut to_server, mut from_client) =
                (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || {
                io::copy(&mut from_client, &mut to_server).ok();
                to_server.shutdown(Shutdown::Write).ok();
            });
            hold_back(server, client, delay, told.clone());
        }
    });
    (addr, held)
}

/// One thread reads and notes the time, another waits and writes, so that no delay adds to the next.
fn hold_back(mut from: TcpStream, mut to: TcpStream, delay: Duration, held: Held) {
    let (send, receive) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            send.send((Instant::now(), buffer[..length].to_vec())).ok();
        }
    });
    thread::spawn(move || {
        for (came, piece) in receive {
            let left = delay.saturating_sub(came.elapsed());
            if !left.is_zero() {
                thread::sleep(left);
            }
            held.0.lock().unwrap().push(came.elapsed());
            if to.write_all(&piece).is_err() {
                return;
            }
        }
        to.shutdown(Shutdown::Write).ok();
    });
}
