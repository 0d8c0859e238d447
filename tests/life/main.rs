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

use std::process::{Child, ExitStatus};

use rustix::process::Pid;

use self::support::eventually_some;

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
