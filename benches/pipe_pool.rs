//! Kernel pipes: what the pool saves, and from which size on splicing is worth a pipe.
//!
//! - `pipe`: to lease and give back, against making and closing one; in time per operation.
//! - `resize`: `F_SETPIPE_SZ` back and forth; in time per two calls.
//! - `move`: from one TCP socket to another, spliced through a leased pipe or copied through a
//!   buffer; in time per message. Only the moving is timed; no reactor, no second thread.
//!
//! The pool is private to the crate and needs nothing else of it, so this bench compiles the same
//! file as its own module instead of having the library export it.

#[path = "support/environment.rs"]
mod environment;
#[path = "../src/path/pipe.rs"]
#[expect(dead_code, reason = "the worker's side of it is not measured")]
mod pipe;

use std::{
    hint::black_box,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    rc::Rc,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion};
use portamento::config::{Size, defaults};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use self::pipe::{PipeLease, PipePool};

const UNITS: &str = "pipe_pool: time per operation (pipe), per two calls (resize), per message \
                     moved from socket to socket (move)";

const KIB: usize = 1024;

/// What a pipe is born with.
const BORN_WITH: Size = Size(64 * KIB);

fn main() {
    environment::print(UNITS);
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    make_or_lease(&mut criterion);
    resize(&mut criterion);
    splice_or_copy(&mut criterion);
    criterion.final_summary();
}

fn make_or_lease(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pipe");
    let pool = pool();
    drop(lease(&pool)); // makes the one that is then leased over and over
    group.bench_function("lease and give back", |bencher| {
        bencher.iter(|| drop(black_box(lease(&pool))));
    });
    group.bench_function("make and close", |bencher| {
        bencher.iter(|| black_box(pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)));
    });
    for size in [Size(256 * KIB), defaults::PIPE_SIZE] {
        let id = BenchmarkId::new("make, size and close", size);
        group.bench_function(id, |bencher| {
            bencher.iter(|| drop(black_box(lease(&PipePool::new(1, size.0)))));
        });
    }
    group.finish();
}

fn resize(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resize");
    for size in [Size(256 * KIB), defaults::PIPE_SIZE] {
        let (_read, write) = pipe_with(PipeFlags::CLOEXEC).expect("a descriptor is free");
        group.bench_function(BenchmarkId::new(BORN_WITH.to_string(), size), |bencher| {
            bencher.iter(|| {
                for size in [size, BORN_WITH] {
                    fcntl_setpipe_size(&write, size.0).expect("within the user's limit on pipes");
                }
            });
        });
    }
    group.finish();
}

fn splice_or_copy(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("move");
    for size in [64, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB].map(Size) {
        let pool = pool();
        group.bench_function(BenchmarkId::new("splice", size), |bencher| {
            let mut line = Line::new().expect("loopback has ports");
            bencher.iter_custom(|messages| {
                line.time(messages, size.0, |from, to| {
                    let mut pipe = lease(&pool);
                    pipe.fill(from.as_fd())?;
                    let moved = pipe.pending();
                    while pipe.pending() > 0 {
                        pipe.drain_to(to.as_fd())?;
                    }
                    Ok(moved)
                })
                .expect("the sockets stay open")
            });
        });
        let mut buffer = vec![0; defaults::BUFFER_SIZE.0];
        group.bench_function(BenchmarkId::new("copy", size), |bencher| {
            let mut line = Line::new().expect("loopback has ports");
            bencher.iter_custom(|messages| {
                line.time(messages, size.0, |mut from, mut to| {
                    let moved = from.read(&mut buffer)?;
                    to.write_all(&buffer[..moved])?;
                    Ok(moved)
                })
                .expect("the sockets stay open")
            });
        });
    }
    group.finish();
}

fn pool() -> Rc<PipePool> {
    PipePool::new(1, defaults::PIPE_SIZE.0)
}

fn lease(pool: &Rc<PipePool>) -> PipeLease {
    pool.lease()
        .expect("descriptors and the user's limit allow for one worthwhile pipe")
}

/// Client, forwarder and origin, all on one thread: what is written to `client` is moved from
/// `downstream` to `upstream` and read from `origin`. The sockets block, and take a whole message.
struct Line {
    client: TcpStream,
    downstream: TcpStream,
    upstream: TcpStream,
    origin: TcpStream,
    message: Vec<u8>,
}

impl Line {
    fn new() -> io::Result<Self> {
        let (client, downstream) = connection()?;
        let (upstream, origin) = connection()?;
        Ok(Self {
            client,
            downstream,
            upstream,
            origin,
            message: Vec::new(),
        })
    }

    /// Sends messages of `size` bytes and returns the time that `step`, which moves some bytes and
    /// says how many, took in all.
    fn time(
        &mut self,
        messages: u64,
        size: usize,
        mut step: impl FnMut(&TcpStream, &TcpStream) -> io::Result<usize>,
    ) -> io::Result<Duration> {
        self.message.resize(size, 0);
        let mut elapsed = Duration::ZERO;
        for _ in 0..messages {
            self.client.write_all(&self.message)?;
            let start = Instant::now();
            let mut moved = 0;
            while moved < size {
                match step(&self.downstream, &self.upstream)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => moved += count,
                }
            }
            elapsed += start.elapsed();
            self.origin.read_exact(&mut self.message)?;
        }
        Ok(elapsed)
    }
}

/// Two ends of a TCP connection whose buffers hold the largest message.
fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let connecting = TcpStream::connect(listener.local_addr()?)?;
    let (accepted, _) = listener.accept()?;
    for stream in [&connecting, &accepted] {
        stream.set_nodelay(true)?;
        let socket = socket2::SockRef::from(stream);
        socket.set_send_buffer_size(512 * KIB)?;
        socket.set_recv_buffer_size(512 * KIB)?;
    }
    Ok((connecting, accepted))
}
