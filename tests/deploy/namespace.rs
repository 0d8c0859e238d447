//! A thread in the network of another process: with the default ports, and nobody else on them.

use std::{fs::File, os::fd::AsFd, panic::resume_unwind, process::Command, thread};

use rustix::{
    process::{Pid, getuid},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::support::{installed, skip};

/// Runs `act` on a thread of its own in the network namespace of `pid`. What it starts is there, too.
pub(crate) fn in_network_of<T: Send>(pid: Pid, act: impl FnOnce() -> T + Send) -> T {
    let network = File::open(format!("/proc/{pid}/ns/net")).unwrap();
    let act = || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        act()
    };
    thread::scope(|scope| scope.spawn(act).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

/// Whether namespaces can be made and furnished, with `programs` to work in them; says so where they
/// can't.
pub(crate) fn possible(programs: &[&str]) -> bool {
    if !getuid().is_root() {
        skip("only root can make namespaces");
        return false;
    }
    let ours = ["unshare", "nsenter", "mount", "umount", "ip"];
    if !ours.iter().chain(programs).all(installed) {
        return false;
    }
    let made = Command::new("unshare")
        .args(["--fork", "--pid", "--mount", "--net", "--cgroup", "true"])
        .status();
    let made = made.is_ok_and(|status| status.success());
    if !made {
        skip("this machine lets nobody make namespaces");
    }
    made
}
