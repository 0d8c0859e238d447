//! A forwarder whose log nobody reads.

use std::{
    io::{BufRead, BufReader, Lines},
    net::SocketAddr,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
};

use rustix::{
    pipe::fcntl_setpipe_size,
    process::{Pid, Signal, kill_process},
};

use super::{BINARY, Line, Link, Origin, Scrape, eventually_some};

/// A running `portamento` whose standard error is a small pipe that is read no further than its
/// addresses. Dropping it kills it.
pub(crate) struct Unread {
    child: Child,
    _log: Lines<BufReader<ChildStderr>>,
    pub(crate) addr: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Unread {
    /// Starts it, as talkative as it can be.
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        Self::start_with(upstream, &[])
    }

    /// The same with some more flags.
    pub(crate) fn start_with(upstream: SocketAddr, flags: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--upstream", &upstream.to_string()])
            .args(["--log-level", "trace", "--access-log", "all"])
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        fcntl_setpipe_size(&stderr, 4096).unwrap();
        let mut log = BufReader::new(stderr).lines();
        let mut address_in = |message| {
            let line = log.find_map(|line| {
                let line = Line::parse(&line.unwrap());
                (line.text("message") == message).then_some(line)
            });
            line.unwrap().text("address").parse().unwrap()
        };
        let (addr, admin) = (address_in("listening"), address_in("admin endpoint"));
        Self {
            child,
            _log: log,
            addr,
            admin,
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Lines of the log that were dropped.
    pub(crate) fn drops(&self) -> f64 {
        Scrape::of(self.admin).value("portamento_log_drops_total")
    }

    /// Makes connections until a line of the log is dropped.
    pub(crate) fn fill_log(&self, origin: &Origin) {
        while self.drops() == 0.0 {
            for _ in 0..200 {
                Link::open(self.addr, origin).round_trip();
            }
        }
    }

    /// Tells it to end, and waits until it has.
    pub(crate) fn end(mut self) -> ExitStatus {
        kill_process(self.pid(), Signal::TERM).unwrap();
        eventually_some("the process ends", || self.child.try_wait().unwrap())
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
