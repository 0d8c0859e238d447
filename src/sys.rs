//! The operating system, safely wrapped: what the process may use, and names for its errors.

use std::{
    fs, io,
    num::NonZeroUsize,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
    process::{Resource, Rlimit, getpriority_process, getrlimit, setrlimit},
    thread::sched_getaffinity,
};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id, thread_schedule_policy,
};
use tokio::io::{Interest, unix::AsyncFd};

/// The CPUs that this process may use: its affinity mask, or its cgroup's quota rounded up where
/// that is less.
#[must_use]
pub(crate) fn usable_cpus() -> NonZeroUsize {
    let affinity = sched_getaffinity(None).map_or(1, |set| set.count() as usize);
    let quota = cgroup_quota(Path::new("/")).unwrap_or(usize::MAX);
    NonZeroUsize::new(affinity.min(quota)).unwrap_or(NonZeroUsize::MIN)
}

/// The CPU quota of this process's cgroup or of one above it, in whole CPUs rounded up; `root` is
/// `/` but in tests. `None`: no quota, or none that can be read.
fn cgroup_quota(root: &Path) -> Option<usize> {
    cpu_cgroups(root)
        .iter()
        .filter_map(|dir| CpuQuota::of(dir))
        .map(CpuQuota::whole_cpus)
        .min()
}

/// Where this process's CPU cgroups may be found, and those above them, of either version of
/// cgroups; `root` is `/` but in tests. Not all of them need exist.
pub(crate) fn cpu_cgroups(root: &Path) -> Vec<PathBuf> {
    let membership = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mount = root.join("sys/fs/cgroup");
    let mut dirs = Vec::new();
    for line in membership.lines() {
        // ID:CONTROLLERS:PATH; version 2 names no controllers.
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        // Inside a container the path may name the host's hierarchy, which is not mounted there:
        // then only the mount's own directory, the last ancestor, can be read.
        if controllers.is_empty() {
            dirs.extend(ancestors(&mount, path));
        } else if controllers.split(',').any(|name| name == "cpu") {
            dirs.extend(ancestors(&mount.join(controllers), path));
            dirs.extend(ancestors(&mount.join("cpu"), path));
        }
    }
    dirs
}

/// `mount` joined with `path` and with each of its parents, the mount itself last.
fn ancestors(mount: &Path, path: &str) -> impl Iterator<Item = PathBuf> + use<> {
    let mount = mount.to_owned();
    let path = PathBuf::from(path.trim_start_matches('/'));
    path.ancestors()
        .map(|part| mount.join(part))
        .collect::<Vec<_>>()
        .into_iter()
}

/// How much CPU time a cgroup may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuQuota {
    /// Microseconds of CPU time in each period.
    quota: usize,
    /// Microseconds, not zero.
    period: usize,
}

impl CpuQuota {
    /// The quota of the cgroup at `dir`. `None`: no quota, or none that can be read.
    pub(crate) fn of(dir: &Path) -> Option<Self> {
        let read = |name| fs::read_to_string(dir.join(name)).ok();
        // Version 2: one file holds `QUOTA PERIOD`, or `max PERIOD`.
        if let Some(text) = read("cpu.max") {
            let (quota, period) = text.trim().split_once(' ')?;
            return Self::parse(quota, period);
        }
        // Version 1: two files; a quota of -1 is none.
        let (quota, period) = (read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?);
        Self::parse(quota.trim(), period.trim())
    }

    fn parse(quota: &str, period: &str) -> Option<Self> {
        Some(Self {
            quota: quota.parse().ok()?,
            period: period.parse().ok().filter(|period| *period > 0)?,
        })
    }

    /// CPUs, rounded up, at least one.
    pub(crate) fn whole_cpus(self) -> usize {
        self.quota.div_ceil(self.period).max(1)
    }

    /// Thousandths of a CPU, as Kubernetes counts them.
    pub(crate) fn millicpus(self) -> usize {
        self.quota.saturating_mul(1000) / self.period
    }
}

/// Raises the soft limit on open files to the hard one and returns what holds now.
#[must_use]
pub(crate) fn raise_nofile() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised,
        Err(_) => limit,
    };
    limit.current.unwrap_or(u64::MAX)
}

/// Puts the calling thread under `SCHED_BATCH` and leaves its niceness as it is.
///
/// # Errors
/// The kernel, or a sandbox around the process, refuses.
pub(crate) fn schedule_as_batch() -> io::Result<()> {
    let batch = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
    let nice = getpriority_process(None)?;
    // The crate sets the niceness too, and takes it as a value of 0 to 99 of its own.
    let same_nice = (0..=99u8)
        .filter_map(|value| value.try_into().ok().map(ThreadPriority::Crossplatform))
        .find(|priority| priority.to_posix(batch).is_ok_and(|value| value == nice))
        .unwrap_or(ThreadPriority::Min);
    set_thread_priority_and_policy(thread_native_id(), same_nice, batch)
        .map_err(|error| io::Error::other(format!("{error:?}")))?;
    match thread_schedule_policy() {
        Ok(policy) if policy == batch => Ok(()),
        other => Err(io::Error::other(format!("the policy is {other:?}"))),
    }
}

/// Makes a non-blocking stream socket.
///
/// # Errors
/// What socket(2) fails with.
pub(crate) fn stream_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    socket_with(family, SocketType::STREAM, flags, None)
}

/// Registers a descriptor with the runtime of the calling thread.
///
/// # Errors
/// The reactor can't take it.
pub(crate) fn register<F: AsFd + AsRawFd>(fd: F, interest: Interest) -> io::Result<AsyncFd<F>> {
    #[expect(
        deprecated,
        reason = "its flaw is to take descriptors that somebody else may close; nobody can close one that is owned or borrowed"
    )]
    AsyncFd::with_interest(fd, interest)
}

/// Whether a failed call says that this process, or the host, is out of descriptors, memory, threads,
/// watches, or ports to connect from.
pub(crate) fn is_shortage(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::MFILE
            | Errno::NFILE
            | Errno::NOBUFS
            | Errno::NOMEM
            | Errno::NOSPC
            | Errno::AGAIN
            | Errno::ADDRINUSE
            | Errno::ADDRNOTAVAIL
            | Errno::AFNOSUPPORT
    )
}

/// Defines [`ERRNO_NAMES`] and [`errno_name`] from one list.
macro_rules! errno_names {
    ($($errno:ident => $name:literal,)*) => {
        /// What [`errno_name`] returns: a bounded set of labels.
        pub(crate) const ERRNO_NAMES: [&str; [$($name),*].len() + 1] = [$($name,)* "other"];

        /// The symbolic name of an errno, for logs and labels; `other` beyond [`ERRNO_NAMES`].
        #[must_use]
        pub(crate) fn errno_name(errno: Errno) -> &'static str {
            match errno {
                $(Errno::$errno => $name,)*
                _ => "other",
            }
        }
    };
}

errno_names! {
    ACCESS => "EACCES",
    ADDRINUSE => "EADDRINUSE",
    ADDRNOTAVAIL => "EADDRNOTAVAIL",
    AFNOSUPPORT => "EAFNOSUPPORT",
    AGAIN => "EAGAIN",
    CONNABORTED => "ECONNABORTED",
    CONNREFUSED => "ECONNREFUSED",
    CONNRESET => "ECONNRESET",
    HOSTUNREACH => "EHOSTUNREACH",
    INVAL => "EINVAL",
    IO => "EIO",
    LOOP => "ELOOP",
    MFILE => "EMFILE",
    NETDOWN => "ENETDOWN",
    NETUNREACH => "ENETUNREACH",
    NFILE => "ENFILE",
    NOBUFS => "ENOBUFS",
    NOENT => "ENOENT",
    NOMEM => "ENOMEM",
    NOSPC => "ENOSPC",
    NOTCONN => "ENOTCONN",
    PERM => "EPERM",
    PIPE => "EPIPE",
    PROTO => "EPROTO",
    TIMEDOUT => "ETIMEDOUT",
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that stands for `/`, removed at the end.
    struct Root(PathBuf);

    impl Root {
        fn with(name: &str, files: &[(&str, &str)]) -> Self {
            let root =
                std::env::temp_dir().join(format!("portamento-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn cgroup_v2_quota_is_rounded_up_and_the_tightest_ancestor_counts() {
        let root = Root::with(
            "v2",
            &[
                ("proc/self/cgroup", "0::/pods/me\n"),
                ("sys/fs/cgroup/pods/me/cpu.max", "max 100000\n"),
                ("sys/fs/cgroup/pods/cpu.max", "150000 100000\n"),
            ],
        );
        assert_eq!(cgroup_quota(&root.0), Some(2));
    }

    #[test]
    fn cgroup_v2_in_a_container_reads_the_mount_itself() {
        let root = Root::with(
            "v2-container",
            &[
                ("proc/self/cgroup", "0::/\n"),
                ("sys/fs/cgroup/cpu.max", "50000 100000\n"),
            ],
        );
        assert_eq!(cgroup_quota(&root.0), Some(1));
    }

    #[test]
    fn cgroup_v1_quota_is_found_and_minus_one_is_none() {
        let files = |quota| {
            [
                (
                    "proc/self/cgroup",
                    "5:cpu,cpuacct:/host/path\n1:memory:/x\n",
                ),
                ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", quota),
                ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ]
        };
        let limited = Root::with("v1", &files("250000\n"));
        assert_eq!(cgroup_quota(&limited.0), Some(3));
        let free = Root::with("v1-free", &files("-1\n"));
        assert_eq!(cgroup_quota(&free.0), None);
    }

    #[test]
    fn a_batch_thread_keeps_its_niceness() {
        std::thread::spawn(|| {
            let before = getpriority_process(None).unwrap();
            schedule_as_batch().unwrap();
            assert_eq!(getpriority_process(None).unwrap(), before);
        })
        .join()
        .unwrap();
    }
}
