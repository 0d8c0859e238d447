//! One start at a time where unix sockets are made.

use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock, fstat, open},
    io::Errno,
};
use tracing::warn;

use crate::config::{ListenAddr, parent_of};

/// Locks on the directories of the unix sockets, until it is dropped.
///
/// A socket that is bound and does not listen yet refuses like the file that a dead process has left
/// behind, which is taken over. So from before the look at a file until it listens a start keeps
/// others out. The lock is on the directory itself, by flock(2): it needs no file, no right to write,
/// and goes with its process, whatever ends that.
pub(crate) struct DirectoryLocks {
    _locked: Vec<OwnedFd>,
}

/// Another start takes milliseconds. Whoever holds a directory for longer is another program, which
/// must not keep this one from starting.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a lock is tried.
const AGAIN: Duration = Duration::from_millis(2);

impl DirectoryLocks {
    /// Waits for the locks, for 2 s at most. Without one it warns: then two starts at the same moment
    /// may take each other's path.
    pub(crate) fn take<'a>(addresses: impl IntoIterator<Item = &'a ListenAddr>) -> Self {
        let deadline = Instant::now() + PATIENCE;
        let mut directories = BTreeMap::new(); // each once, and in the order of all processes
        for address in addresses {
            let ListenAddr::Unix(path) = address else {
                continue;
            };
            match identified(parent_of(path)) {
                Ok((identity, directory)) => drop(directories.insert(identity, directory)),
                Err(error) => unlocked(parent_of(path), error),
            }
        }
        let mut locked = Vec::new();
        for (path, directory) in directories.into_values() {
            match lock(&directory, deadline) {
                Ok(()) => locked.push(directory),
                Err(error) => unlocked(&path, error),
            }
        }
        Self { _locked: locked }
    }
}

fn unlocked(directory: &Path, error: Errno) {
    warn!(directory = %directory.display(), %error, "the directory of a unix socket can't be locked: start one process at a time");
}

type Identity = (u64, u64);

fn identified(path: &Path) -> Result<(Identity, (PathBuf, OwnedFd)), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = open(path, flags, Mode::empty())?;
    let stat = fstat(&directory)?;
    Ok(((stat.st_dev, stat.st_ino), (path.to_owned(), directory)))
}

fn lock(directory: &OwnedFd, deadline: Instant) -> Result<(), Errno> {
    loop {
        match flock(directory, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::AGAIN | Errno::INTR) if Instant::now() < deadline => sleep(AGAIN),
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, sync::mpsc, thread};

    use super::*;

    fn unix(path: PathBuf) -> ListenAddr {
        ListenAddr::Unix(path)
    }

    #[test]
    fn a_second_start_waits_for_the_first_and_no_directory_is_locked_twice() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["a", "b"] {
            fs::create_dir(at(name)).unwrap();
        }
        symlink(at("a"), at("alias")).unwrap();
        let first = [
            unix(at("a/x")),
            unix(at("b/x")),
            unix(at("alias/y")),
            ":1".parse().unwrap(),
        ];
        let second = [unix(at("b/z")), unix(at("a/z"))];

        let started = Instant::now();
        let locks = DirectoryLocks::take(&first);
        assert!(started.elapsed() < PATIENCE, "it waited for itself");
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _locks = DirectoryLocks::take(&second);
                tell.send(()).unwrap();
            });
            assert!(told.try_recv().is_err());
            drop(locks);
            told.recv().unwrap();
        });
    }

    #[test]
    fn a_directory_that_is_not_there_or_not_free_keeps_nobody_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        let socket = [unix(dir.path().join("x"))];
        let _held = DirectoryLocks::take(&socket);
        drop(DirectoryLocks::take(&socket));
        drop(DirectoryLocks::take(&[unix(dir.path().join("none/x"))]));
    }
}
