//! Whatever accept(2) answers: it is neither asked in a frenzy nor taken for the end.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};

use super::support::{
    Echo, PATIENCE, Process, Scrape, connect, echo_once, echoed, eventually, skip,
};

/// A tracer that has each accept4 of the process fail, as long as it lives.
struct Injected(Child);

impl Injected {
    /// `None` where strace is not installed or may not trace.
    fn into(process: &Process, errno: &str) -> Option<Self> {
        let pid = process.pid();
        let strace = Command::new("strace")
            .args(["-qq", "-o", "/dev/null", "-e", "trace=accept4", "-e"])
            .arg(format!("inject=accept4:error={errno}"))
            .args(["-p", &pid.to_string()]) // the thread that accepts; it is the first
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let injected = Self(strace);
        let tracer = format!("TracerPid:\t{}\n", injected.0.id());
        let status = format!("/proc/{pid}/status");
        let deadline = Instant::now() + PATIENCE;
        while !fs::read_to_string(&status).unwrap().contains(&tracer) {
            if Instant::now() > deadline {
                return None;
            }
            std::thread::yield_now();
        }
        Some(injected)
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).ok(); // it lets go
        drop(self.0.wait());
    }
}

const REFUSED: &str = "can't accept; clients wait in the backlog";

#[test]
fn what_forbids_accepting_is_waited_out() {
    let upstream = Echo::start();
    for errno in ["EPERM", "EACCES", "EMFILE", "ECONNABORTED"] {
        let process = Process::start(upstream.addr(), &[]);
        let settled = echoed(process.addr());
        let Some(injected) = Injected::into(&process, errno) else {
            return skip("strace is not installed, or may not trace");
        };
        let waiting = connect(process.addr());
        // It is said once a second at most, with how often it happened.
        eventually("it says so again", || process.count(REFUSED) > 1);
        echo_once(&settled, b"those who are in notice nothing");
        drop(injected);
        echo_once(&waiting, b"and who waited is served");

        for line in process.lines_with(REFUSED) {
            assert_eq!(line.text("errno"), errno);
        }
        // Ten or so, and a backlog of connections that are gone; a frenzy makes thousands.
        let tries = format!("portamento_accept_errors_total{{errno=\"{errno}\"}}");
        let tries = Scrape::of(process.admin()).value(&tries);
        let bound = if errno == "ECONNABORTED" {
            1200.0
        } else {
            100.0
        };
        assert!((2.0..bound).contains(&tries), "{errno}: {tries}");
    }
}

#[test]
fn a_listener_that_cannot_accept_any_more_ends_the_process() {
    let upstream = Echo::start();
    let mut process = Process::start(upstream.addr(), &[]);
    let Some(_injected) = Injected::into(&process, "EINVAL") else {
        return skip("strace is not installed, or may not trace");
    };
    let address = process.addr();
    drop(connect(address));
    assert_eq!(process.wait().code(), Some(1));
    let said = format!("error: the listener at {address} can't accept any more: ");
    eventually("it says which", || process.said(&said));
}
