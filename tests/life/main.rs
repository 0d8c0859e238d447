//! The life of the process from outside: how it starts, what it is told and tells, and that whatever
//! stands around it neither stops it nor keeps it from ending.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod accept;
mod log;
mod loops;
mod manager;
mod passed;
mod signals;
mod start;

use std::{
    io::Read,
    process::{Child, Command, ExitStatus, Output, Stdio},
};

use rustix::process::Pid;

use self::support::eventually_some;

/// What a command says that is to end: should it run on, it does not outlive the test.
fn end_of(command: &mut Command) -> Output {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = Kept(command.spawn().unwrap());
    let status = child.wait();
    let mut stderr = Vec::new();
    let mut said = child.0.stderr.take().unwrap();
    said.read_to_end(&mut stderr).unwrap();
    Output {
        status,
        stdout: Vec::new(),
        stderr,
    }
}

/// A child that does not outlive the test.
struct Kept(Child);

impl Kept {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    fn wait(&mut self) -> ExitStatus {
        eventually_some("it ends", || self.ended())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
