//! Which processes listen on a port, as far as `/proc` shows them to this user.

use std::{collections::BTreeMap, fmt, fs, path::Path};

/// Processes, by their ids, with their names.
#[derive(Debug, Default)]
pub(super) struct Owners(BTreeMap<u32, String>);

impl Owners {
    /// Those that listen on a TCP port, whichever address it is of.
    pub(super) fn of_tcp(port: u16) -> Self {
        let sockets: Vec<_> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .flat_map(|table| listening(&table, port))
            .map(|inode| format!("socket:[{inode}]"))
            .collect();
        let mut owners = Self::default();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = process
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let files = fs::read_dir(process.path().join("fd"))
                .into_iter()
                .flatten();
            let links = files
                .flatten()
                .filter_map(|file| fs::read_link(file.path()).ok());
            if links
                .into_iter()
                .any(|link| sockets.iter().any(|socket| link == Path::new(socket)))
            {
                owners.add(pid);
            }
        }
        owners
    }

    /// That one process, if it is known.
    pub(super) fn of_pid(pid: Option<i32>) -> Self {
        let mut owners = Self::default();
        if let Some(pid) = pid
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid != 0)
        {
            owners.add(pid);
        }
        owners
    }

    fn add(&mut self, pid: u32) {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        self.0.insert(pid, name.trim().to_owned());
    }

    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// There are some, and each runs under the name of this program.
    pub(super) fn all_portamento(&self) -> bool {
        let own = Self::of_pid(Some(rustix::process::getpid().as_raw_nonzero().get()));
        let names: Vec<_> = own.0.into_values().collect();
        self.any() && self.0.values().all(|name| names.contains(name))
    }
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

/// The inodes of the listening sockets in a table of `/proc/net`, see proc_net_tcp in the kernel's
/// documentation: the fields are the entry's number, the local address, the remote one, the state,
/// and further five before the inode.
fn listening(table: &str, port: u16) -> Vec<u64> {
    const LISTEN: &str = "0A"; // TCP_LISTEN
    let port = format!("{port:04X}");
    table
        .lines()
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
            let inode = fields.get(9)?.parse().ok()?;
            (local_port == port && *fields.get(3)? == LISTEN).then_some(inode)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn whoever_listens_on_a_port_is_found() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                continue; // without IPv6
            };
            let port = listener.local_addr().unwrap().port();
            let owners = Owners::of_tcp(port);
            assert!(owners.0.contains_key(&std::process::id()), "{owners}");
            assert!(owners.all_portamento(), "it is this very program: {owners}");
            drop(listener);
            assert!(!Owners::of_tcp(port).0.contains_key(&std::process::id()));
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
