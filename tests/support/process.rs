//! The forwarder as a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use procfs::{net::TcpState, process::FDTarget};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;

use super::{Line, end, eventually, eventually_some};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_portamento");

/// A running `portamento`. Dropping it kills it, and what runs below a command that ends up as it.
pub(crate) struct Process {
    child: Child,
    log: Arc<Log>,
}

/// What the process has written to standard error.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl Process {
    /// Starts it on a free port in front of `upstream`, with every record in the log.
    pub(crate) fn start(upstream: impl ToString, flags: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["--listen", "127.0.0.1:0", "--access-log", "all"]);
        command
            .args(["--upstream", &upstream.to_string()])
            .args(flags);
        Self::launch(&mut command)
    }

    /// Starts a command that ends up as `portamento`, and waits until it forwards.
    pub(crate) fn launch(command: &mut Command) -> Self {
        Self::launch_with_admin(command, "127.0.0.1:0") // many run at once
    }

    /// The same with an admin endpoint elsewhere; a flag of the command wins.
    pub(crate) fn launch_with_admin(command: &mut Command, admin: &str) -> Self {
        command.env("PORTAMENTO_ADMIN", admin);
        // Should it outlive a test that is killed, it does not keep the pipe behind the tests open.
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Log::default());
        let (stderr, written) = (child.stderr.take().unwrap(), Arc::clone(&log));
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                written.lines.lock().unwrap().push(line);
            }
            written.ended.store(true, Ordering::Release);
        });
        let process = Self { child, log };
        eventually("the process forwards", || {
            let ended = process.log.ended.load(Ordering::Acquire);
            let started = process.count("started") > 0;
            assert!(
                started || !ended,
                "it did not start: {:?}",
                process.log.lines.lock().unwrap()
            );
            started
        });
        process
    }

    /// All lines so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.log
            .lines
            .lock()
            .unwrap()
            .iter()
            .map(|line| Line::parse(line))
            .collect()
    }

    /// Whether a line so far begins like this, also one that is no line of the log.
    pub(crate) fn said(&self, beginning: &str) -> bool {
        let lines = self.log.lines.lock().unwrap();
        lines.iter().any(|line| line.starts_with(beginning))
    }

    /// The lines so far with this message.
    pub(crate) fn lines_with(&self, message: &str) -> Vec<Line> {
        let mut lines = self.lines();
        lines.retain(|line| line.text("message") == message);
        lines
    }

    /// How many lines have this message.
    pub(crate) fn count(&self, message: &str) -> usize {
        self.lines_with(message).len()
    }

    /// Where the first forward listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addrs()[0]
    }

    /// Where each forward listens.
    pub(crate) fn addrs(&self) -> Vec<SocketAddr> {
        let lines = self.lines_with("listening");
        lines
            .iter()
            .filter_map(|line| line.get("address"))
            .map(|addr| addr.parse().unwrap())
            .collect()
    }

    /// Where the admin endpoint listens.
    pub(crate) fn admin(&self) -> SocketAddr {
        let lines = self.lines_with("admin endpoint");
        lines[0].text("address").parse().unwrap()
    }

    /// The records so far.
    pub(crate) fn records(&self) -> Vec<Line> {
        self.lines_with("connection closed")
    }

    /// The record of a client's connection, once it is written.
    pub(crate) fn record_of(&self, client: SocketAddr) -> Line {
        let client = client.to_string();
        eventually_some("the record of the connection is written", || {
            self.records()
                .into_iter()
                .find(|line| line.text("client") == client)
        })
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Open files.
    pub(crate) fn files(&self) -> usize {
        open_files(self.pid())
    }

    /// Leaves room for so many more open files.
    pub(crate) fn allow_more_files(&self, more: usize) {
        let open: Vec<u64> = fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .map(|entry| {
                entry
                    .unwrap()
                    .file_name()
                    .to_str()
                    .unwrap()
                    .parse()
                    .unwrap()
            })
            .collect();
        // The limit is on the number of a descriptor, and the lowest free one is taken.
        let mut free = (0..).filter(|number| !open.contains(number));
        self.limit_files(free.nth(more).unwrap());
    }

    /// Lifts [`Process::allow_more_files`].
    pub(crate) fn allow_all_files(&self) {
        let limit = rustix::process::getrlimit(Resource::Nofile);
        self.limit_files(limit.maximum.unwrap());
    }

    fn limit_files(&self, soft: u64) {
        let maximum = rustix::process::getrlimit(Resource::Nofile).maximum; // it is inherited
        let limit = Rlimit {
            current: Some(soft),
            maximum,
        };
        prlimit(Some(self.pid()), Resource::Nofile, limit).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Holds the process still while `act` does something, so that it finds all of it at once.
    pub(crate) fn frozen(&self, act: impl FnOnce()) {
        self.signal(Signal::STOP);
        eventually("the process stands still", || {
            let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
            tasks
                .map(|task| fs::read_to_string(task.unwrap().path().join("stat")).unwrap())
                .all(|stat| {
                    stat.rsplit_once(')')
                        .is_some_and(|(_, state)| state.starts_with(" T"))
                })
        });
        act();
        self.signal(Signal::CONT);
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually_some("the process ends", || self.child.try_wait().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A copy of the binary that any user may run, in a directory that ends with its guard.
pub(crate) fn binary_for_anybody() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = dir.path().join("portamento");
    // Not by this process: what it forks meanwhile would hold the copy open, and so unfit to run.
    let copied = Command::new("cp").arg(BINARY).arg(&binary).status();
    assert!(copied.unwrap().success());
    (dir, binary)
}

/// Open files of a process.
pub(crate) fn open_files(pid: Pid) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Resident memory that is a process's own, bytes.
pub(crate) fn own_memory(pid: Pid) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut lines = status.lines();
    let line = lines.find(|line| line.starts_with("RssAnon:")).unwrap();
    let kibibytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes * 1024
}

/// The TCP ports that a process itself listens on; none once it has ended.
pub(crate) fn listening_ports(pid: Pid) -> Vec<u16> {
    let files = procfs::process::Process::new(pid.as_raw_nonzero().get()).and_then(|it| it.fd());
    let sockets: Vec<_> = files
        .into_iter()
        .flatten()
        .flatten() // those that were closed meanwhile
        .map(|file| file.target)
        .collect();
    let tables = [procfs::net::tcp(), procfs::net::tcp6()]; // without IPv6 the second is missing
    tables
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.state == TcpState::Listen)
        .filter(|entry| sockets.contains(&FDTarget::Socket(entry.inode)))
        .map(|entry| entry.local_address.port())
        .collect()
}
