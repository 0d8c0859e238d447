//! The open files of a process tree.

use std::fs;
use std::io;

use super::usage::tree;

/// How many files are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    /// Ends of pipes.
    pub(crate) pipes: u64,
    /// All others: sockets, mostly.
    pub(crate) others: u64,
}

impl Files {
    /// Counts those of `pid` and its descendants.
    ///
    /// # Errors
    /// When they cannot be read: the process is gone, or another user's.
    pub(crate) fn read(pid: u32) -> io::Result<Self> {
        let mut files = Self::default();
        for pid in tree(pid) {
            for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
                let Ok(target) = fs::read_link(entry?.path()) else {
                    continue; // closed meanwhile
                };
                match target.as_os_str().as_encoded_bytes().starts_with(b"pipe:") {
                    true => files.pipes += 1,
                    false => files.others += 1,
                }
            }
        }
        Ok(files)
    }

    /// All of them.
    pub(crate) fn all(self) -> u64 {
        self.pipes + self.others
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::process::Guard;

    /// The files of a `cat` that waits for its input: until then it has those of a process being
    /// made, and of a program being loaded.
    fn files(stdout: Stdio) -> Files {
        let mut command = Command::new("cat");
        let mut guard = Guard::spawn("cat", command.stdin(Stdio::piped()).stdout(stdout)).unwrap();
        let stat = format!("/proc/{}/stat", guard.pid());
        let started = Instant::now();
        while !fs::read_to_string(&stat).unwrap().contains(" (cat) S ") {
            assert!(started.elapsed() < Duration::from_secs(10));
            std::thread::yield_now();
        }
        guard.check().unwrap();
        Files::read(guard.pid()).unwrap()
    }

    #[test]
    fn pipes_are_told_apart() {
        // Whatever else is inherited is the same for both.
        let (file, pipe) = (files(Stdio::null()), files(Stdio::piped()));
        assert_eq!(pipe.pipes, file.pipes + 1);
        assert_eq!(pipe.others + 1, file.others);
        assert_eq!(pipe.all(), file.all());
        Files::read(u32::MAX).unwrap_err();
    }
}
