//! Unix sockets, on either side.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Shutdown, TcpListener},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

use rustix::{
    fs::{FlockOperation, flock},
    process::Signal,
};
use tempfile::TempDir;

use self::support::{
    BINARY, ENGINES, PATIENCE, Pattern, Process, connect, eventually, patient, read_out, skip,
};

const MIB: usize = 1024 * 1024;

#[test]
fn bytes_pass_between_every_kind_of_socket() {
    for engine in ENGINES {
        for (client_unix, server_unix) in [(true, true), (true, false), (false, true)] {
            let dir = tempfile::tempdir().unwrap();
            let server = Server::bind(server_unix, &dir);
            let listen = match client_unix {
                true => format!("unix:{}", front(&dir).display()),
                false => "127.0.0.1:0".to_owned(),
            };
            let engine = format!("{engine:?}").to_lowercase();
            let process = start(&listen, &server.addr(), &["--engine", &engine]);
            let client: Box<dyn Stream> = match client_unix {
                true => Box::new(unix(UnixStream::connect(front(&dir)).unwrap())),
                false => Box::new(connect(process.addr())),
            };
            let server = server.accept();
            thread::scope(|scope| {
                scope.spawn(|| {
                    Pattern::new(1).send(client.again(), 0..8 * MIB);
                    client.finish();
                });
                scope.spawn(|| Pattern::new(2).receive(client.again(), 0..8 * MIB));
                scope.spawn(|| Pattern::new(2).send(server.again(), 0..8 * MIB));
                Pattern::new(1).receive(server.again(), 0..8 * MIB);
                assert_eq!(read_out(server.again()).0, b"");
            });
            server.finish();
            assert_eq!(read_out(client.again()).0, b"");
            eventually("its record is written", || process.records().len() == 1);
            let record = &process.records()[0];
            assert_eq!(record.end(), ("client", "fin", ""), "{record:?}");
            assert_eq!(record.number("bytes_to_upstream"), 8 * MIB);
            assert_eq!(record.number("bytes_to_client"), 8 * MIB);
        }
    }
}

#[test]
fn the_file_of_a_dead_process_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::bind(true, &dir);
    let listen = format!("unix:{}", front(&dir).display());
    drop(UnixListener::bind(front(&dir)).unwrap()); // the file stays
    assert!(front(&dir).exists());
    let _process = start(&listen, &server.addr(), &[]);
    let mut client = unix(UnixStream::connect(front(&dir)).unwrap());
    client.write_all(b"hello").unwrap();
    let mut hello = [0; 5];
    server.accept().read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
}

#[test]
fn a_file_that_somebody_listens_on_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let listen = format!("unix:{}", front(&dir).display());
    let other = UnixListener::bind(front(&dir)).unwrap();
    let output = Command::new(BINARY)
        .args(["--listen", &listen, "--upstream", "127.0.0.1:9"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("--listen") && said.contains("another process listens"),
        "{said}"
    );
    // And it has done the other no harm.
    drop(UnixStream::connect(front(&dir)).unwrap());
    drop(other);
}

#[test]
fn of_several_that_start_at_once_one_listens_and_the_others_say_so() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let mut starts: Vec<_> = (0..4).map(|_| Start::of(&mut bare(&dir))).collect();
        eventually("all but one have ended", || {
            let ended = starts.iter_mut().filter_map(Start::ended);
            ended.inspect(|code| assert_eq!(*code, Some(1))).count() == 3
        });
        // It may have been the last of them to come so far.
        eventually("the one listens", || {
            UnixStream::connect(front(&dir)).is_ok()
        });
        assert_eq!(starts.iter_mut().filter_map(Start::ended).count(), 3);
    }
}

#[test]
fn a_socket_that_does_not_listen_yet_is_no_leftover() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut first) = slow_to_listen(&dir) else {
        return skip("strace is not installed, or may not trace");
    };
    eventually("the first has bound", || front(&dir).exists());
    let output = bare(&dir).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    drop(UnixStream::connect(front(&dir)).unwrap());
    assert_eq!(first.ended(), None);
}

#[test]
fn a_start_that_was_killed_before_it_listens_keeps_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    // What it leaves: its lock goes with it, the file stays.
    let lock = File::open(dir.path()).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    drop(UnixListener::bind(front(&dir)).unwrap());
    let mut second = Start::of(&mut bare(&dir));
    drop(lock);
    eventually("the second listens", || {
        assert_eq!(second.ended(), None);
        UnixStream::connect(front(&dir)).is_ok()
    });
}

#[test]
fn the_file_is_removed_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let listen = format!("unix:{}", front(&dir).display());
    for signal in [Signal::TERM, Signal::INT] {
        let mut process = start(&listen, "127.0.0.1:9", &[]);
        assert!(front(&dir).exists());
        process.signal(signal);
        assert!(process.wait().success());
        assert!(!front(&dir).exists(), "after {signal:?}");
    }
}

#[test]
fn the_file_of_a_successor_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let listen = format!("unix:{}", front(&dir).display());
    let mut old = start(&listen, "127.0.0.1:9", &[]);
    fs::remove_file(front(&dir)).unwrap();
    let _new = start(&listen, "127.0.0.1:9", &[]);
    old.signal(Signal::INT);
    assert!(old.wait().success());
    drop(UnixStream::connect(front(&dir)).unwrap());
}

#[test]
fn an_upstream_without_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let upstream = format!("unix:{}", dir.path().join("nobody").display());
    let process = start("127.0.0.1:0", &upstream, &[]);
    let client = connect(process.addr());
    assert_eq!(read_out(&client).1, support::End::Reset);
    let record = process.record_of(client.local_addr().unwrap());
    assert_eq!(record.end(), ("upstream", "refused", "ENOENT"));
}

fn start(listen: &str, upstream: &str, flags: &[&str]) -> Process {
    let mut command = Command::new(BINARY);
    command
        .args([
            "--listen",
            listen,
            "--upstream",
            upstream,
            "--access-log",
            "all",
        ])
        .args(flags);
    Process::launch(&mut command)
}

/// A forwarder on the front of `dir`, as a command.
fn bare(dir: &TempDir) -> Command {
    let mut command = Command::new(BINARY);
    command.args(flags(dir));
    command
}

/// One that takes a second from binding to listening. `None` where strace is not installed or may
/// not trace.
fn slow_to_listen(dir: &TempDir) -> Option<Start> {
    let tries = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .status();
    tries.ok().filter(ExitStatus::success)?;
    let mut strace = Command::new("strace");
    strace.args(["-D", "-qq", "-o", "/dev/null", "-e", "trace=listen"]); // -D: beside it
    strace.args(["-e", "inject=listen:delay_enter=1000000"]);
    Some(Start::of(strace.arg(BINARY).args(flags(dir))))
}

fn flags(dir: &TempDir) -> [String; 6] {
    let listen = format!("unix:{}", front(dir).display());
    [
        "--listen",
        &listen,
        "--upstream",
        "127.0.0.1:9",
        "--admin",
        "off",
    ]
    .map(str::to_owned)
}

/// A process that may start, or not. Dropping it kills it.
struct Start(Child);

impl Start {
    fn of(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Its exit code, once it has ended.
    fn ended(&mut self) -> Option<Option<i32>> {
        self.0.try_wait().unwrap().map(|status| status.code())
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn front(dir: &TempDir) -> PathBuf {
    dir.path().join("front")
}

fn unix(stream: UnixStream) -> UnixStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Either kind of stream.
trait Stream: Read + Write + Send + Sync {
    fn again(&self) -> Box<dyn Stream>;
    fn finish(&self);
}

impl Stream for UnixStream {
    fn again(&self) -> Box<dyn Stream> {
        Box::new(self.try_clone().unwrap())
    }

    fn finish(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

impl Stream for std::net::TcpStream {
    fn again(&self) -> Box<dyn Stream> {
        Box::new(self.try_clone().unwrap())
    }

    fn finish(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

/// Either kind of listener.
enum Server {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
}

impl Server {
    fn bind(unix: bool, dir: &TempDir) -> Self {
        let path: &Path = &dir.path().join("back");
        match unix {
            true => Self::Unix(UnixListener::bind(path).unwrap(), path.to_owned()),
            false => Self::Tcp(TcpListener::bind("127.0.0.1:0").unwrap()),
        }
    }

    fn addr(&self) -> String {
        match self {
            Self::Unix(_, path) => format!("unix:{}", path.display()),
            Self::Tcp(listener) => listener.local_addr().unwrap().to_string(),
        }
    }

    fn accept(&self) -> Box<dyn Stream> {
        match self {
            Self::Unix(listener, _) => Box::new(unix(listener.accept().unwrap().0)),
            Self::Tcp(listener) => Box::new(patient(listener.accept().unwrap().0)),
        }
    }
}
