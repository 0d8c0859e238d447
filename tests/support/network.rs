//! A network of a test's own: nobody else's ports, and its own limits.

use std::{
    fs::{self, File},
    os::fd::AsFd,
    panic::resume_unwind,
    process::{Child, Command, Stdio},
    thread,
};

use rustix::{
    process::getuid,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::{eventually, installed, skip};

/// A network namespace with a loopback. Dropping it ends it, once nobody is in it any more.
pub(crate) struct Network(Child);

impl Network {
    /// Makes one. `None`, with a word to say why, where that can't be done.
    pub(crate) fn new() -> Option<Self> {
        if !getuid().is_root() {
            skip("only root can make networks");
            return None;
        }
        if !["unshare", "ip"].iter().all(installed) {
            return None;
        }
        let made = Command::new("unshare")
            .args(["--net", "--mount", "true"])
            .status();
        if !made.is_ok_and(|status| status.success()) {
            skip("this machine lets nobody make networks");
            return None;
        }
        let holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && exec cat"])
            .stdin(Stdio::piped()) // it ends with this process, if not before
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let network = Self(holder);
        let name = format!("/proc/{}/comm", network.0.id());
        eventually("the loopback is up", || {
            fs::read_to_string(&name).is_ok_and(|name| name.trim() == "cat")
        });
        Some(network)
    }

    /// Runs `act` on a thread of its own in there; what it starts is there, too.
    pub(crate) fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/proc/{}/ns/net", self.0.id())).unwrap();
        let act = || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind).unwrap();
            act()
        };
        let ended = thread::scope(|scope| {
            let name = thread::current().name().unwrap_or_default().to_owned();
            let inside = thread::Builder::new().name(name);
            inside.spawn_scoped(scope, act).unwrap().join()
        });
        ended.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Sets the ports that the kernel takes for outgoing connections, where the calling thread is.
pub(crate) fn set_ephemeral_ports(low: u16, high: u16) {
    fs::write(
        "/proc/sys/net/ipv4/ip_local_port_range",
        format!("{low} {high}"),
    )
    .unwrap();
}
