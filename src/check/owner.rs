//! Which processes listen on a port, as far as `/proc` shows them to this user.

use std::{collections::BTreeMap, fmt};

use procfs::{
    net::{TcpState, tcp, tcp6},
    process::{FDTarget, Process, all_processes},
};

/// Processes, by their ids, with their names.
#[derive(Debug, Default)]
pub(super) struct Owners(BTreeMap<i32, String>);

impl Owners {
    /// Those that listen on a TCP port, whichever address it is of.
    pub(super) fn of_tcp(port: u16) -> Self {
        let sockets: Vec<_> = [tcp(), tcp6()]
            .into_iter()
            .flatten() // a table that can't be read has nobody to show
            .flatten()
            .filter(|socket| {
                socket.state == TcpState::Listen && socket.local_address.port() == port
            })
            .map(|socket| FDTarget::Socket(socket.inode))
            .collect();
        let has_one = |process: &Process| {
            let files = process.fd().into_iter().flatten().flatten();
            files.into_iter().any(|file| sockets.contains(&file.target))
        };
        let processes = all_processes().into_iter().flatten().flatten();
        Self(processes.filter(has_one).map(named).collect())
    }

    /// That one process, if it can be seen.
    pub(super) fn of_pid(pid: i32) -> Self {
        Self(Process::new(pid).into_iter().map(named).collect())
    }

    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// There are some, and each runs under the name of this program.
    pub(super) fn all_portamento(&self) -> bool {
        let own = Process::myself().ok().map(|process| named(process).1);
        self.any() && self.0.values().all(|name| Some(name) == own.as_ref())
    }
}

fn named(process: Process) -> (i32, String) {
    // It may have ended since.
    let name = process
        .stat()
        .map_or_else(|_| String::new(), |stat| stat.comm);
    (process.pid, name)
}

/// Shown as `portamento (pid 7)`.
impl fmt::Display for Owners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (pid, name)) in self.0.iter().enumerate() {
            let and = if index == 0 { "" } else { " and " };
            write!(f, "{and}{name} (pid {pid})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn whoever_listens_on_a_port_is_found() {
        let own = Process::myself().unwrap().pid;
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                continue; // without IPv6
            };
            let port = listener.local_addr().unwrap().port();
            let owners = Owners::of_tcp(port);
            assert!(owners.0.contains_key(&own), "{owners}");
            assert!(owners.all_portamento(), "it is this very program: {owners}");
            drop(listener);
            assert!(!Owners::of_tcp(port).0.contains_key(&own));
        }
    }

    #[test]
    fn another_program_is_told_from_this_one() {
        assert!(!Owners::default().all_portamento());
        let other = Owners(BTreeMap::from([(1, "another".to_owned())]));
        assert!(!other.all_portamento());
        assert_eq!(other.to_string(), "another (pid 1)");
    }
}
