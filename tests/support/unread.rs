//! A forwarder whose log nobody reads.

use std::{
    io::{BufRead, BufReader, Lines},
    net::SocketAddr,
    process::{Child, ChildStderr, Command, Stdio},
};

use super::{BINARY, Line, Link, Origin, Scrape};

/// A running `portamento` whose standard error is a pipe that is read no further than its
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
        let mut child = Command::new(BINARY)
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--upstream", &upstream.to_string()])
            .args(["--log-level", "trace", "--access-log", "all"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
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

    /// Makes connections until a line of the log is dropped.
    pub(crate) fn fill_log(&self, origin: &Origin) {
        let drops = || Scrape::of(self.admin).value("portamento_log_drops_total");
        while drops() == 0.0 {
            for _ in 0..200 {
                Link::open(self.addr, origin).round_trip();
            }
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
