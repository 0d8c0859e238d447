//! Whoever watches a forwarder too closely, or attacks it, while it has its work to do.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::{Random, connect, patient, proxy_header};

/// Between two scrapes.
const SCRAPE: Duration = Duration::from_millis(10);

/// Between two newcomers among those that never end their request.
const LORIS: Duration = Duration::from_millis(5);

/// How many of those there are; more than the endpoint has places.
const LORISES: usize = 64;

/// A scrape every 10 ms, clients of the admin endpoint that never end their request, and peers that
/// should send a PROXY header and don't. They end when this is dropped.
pub(crate) struct Pests {
    over: Arc<AtomicBool>,
    headers: Arc<AtomicUsize>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Pests {
    /// Lets them loose. `seed` is that of what the peers send instead of a header, one after the
    /// other with a `pause` between.
    pub(crate) fn start(
        forwarder: SocketAddr,
        admin: SocketAddr,
        seed: u64,
        pause: Duration,
    ) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let headers = Arc::new(AtomicUsize::new(0));
        let until_over = |mut act: Box<dyn FnMut() + Send>| {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    act();
                }
            })
        };
        let sent = Arc::clone(&headers);
        let mut random = Random::new(seed);
        let mut lorises = VecDeque::new();
        let threads = vec![
            until_over(Box::new(move || {
                scrape(admin);
                thread::sleep(SCRAPE);
            })),
            until_over(Box::new(move || {
                lorises.push_back(loris(admin));
                if lorises.len() > LORISES {
                    lorises.pop_front();
                }
                thread::sleep(LORIS);
            })),
            until_over(Box::new(move || {
                let number = sent.fetch_add(1, Ordering::Relaxed);
                malformed(forwarder, number, &mut random);
                thread::sleep(pause);
            })),
        ];
        Self {
            over,
            headers,
            threads,
        }
    }

    /// Malformed headers sent so far, or about to be.
    pub(crate) fn headers(&self) -> usize {
        self.headers.load(Ordering::Relaxed)
    }

    /// Calls them off, and returns how many malformed headers there were.
    ///
    /// # Panics
    /// One of them did, since it was served.
    pub(crate) fn end(mut self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        self.headers()
    }
}

impl Drop for Pests {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// Whoever holds places may cost a scrape its own: then there is none.
fn scrape(admin: SocketAddr) {
    let mut stream = connect(admin);
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: it\r\n\r\n")
        .ok();
    stream.read_to_end(&mut Vec::new()).ok();
}

/// A client that starts a request and never ends it.
pub(crate) fn loris(admin: SocketAddr) -> TcpStream {
    let mut stream = connect(admin);
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
        .unwrap();
    stream
}

/// Sends what is no header, and sees the connection end. There are ten kinds, by `number`.
///
/// # Panics
/// It is answered.
pub(crate) fn malformed(to: SocketAddr, number: usize, random: &mut Random) {
    let mut peer = patient(TcpStream::connect(to).unwrap());
    let garbage: Vec<u8> = (0..random.within(0, 300))
        .map(|_| random.next_u64().to_le_bytes()[0])
        .collect();
    let (bytes, ends) = match number % 10 {
        0 => (garbage, true),
        1 => ([b"PROXY ", &garbage[..]].concat(), true),
        // Of no version: by chance it would be a header of version 2 now and then.
        2 => ([b"\r\n\r\n\0\r\nQUIT\n\x01", &garbage[..]].concat(), true),
        3 => (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n".to_vec(),
            false,
        ),
        4 => (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n".to_vec(), false),
        5 => ([b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat(), false),
        6 => (proxy_header::v2_block(0x21, 0x41, &garbage), false),
        7 => (proxy_header::v2_block(0x21, 0x11, &[0; 11]), false),
        8 => (proxy_header::v2_block(0x21, 0x11, &[0; 5000]), false),
        _ => (
            b"GET / HTTP/1.1\r\nHost: portamento\r\n\r\n".to_vec(),
            false,
        ),
    };
    // It may be reset in the middle.
    peer.write_all(&bytes).ok();
    if ends {
        peer.shutdown(Shutdown::Write).ok();
    }
    assert!(
        peer.read(&mut [0]).is_err(),
        "case {}: reset, not answered",
        number % 10
    );
}

/// A client behind a proxy that knows how to speak. Its first bytes have gone there and back.
pub(crate) fn served(to: SocketAddr) -> TcpStream {
    let mut client = connect(to);
    let source = ([192, 0, 2, 1], client.local_addr().unwrap().port()).into();
    client.write_all(&proxy_header::v2(source, to)).unwrap();
    super::echo_once(&client, b"good");
    client
}
