//! Children: servers and proxies that live exactly as long as their guard.

pub(crate) mod files;
pub(crate) mod machine;
pub(crate) mod portamento;
pub(crate) mod proxy;
pub(crate) mod syscalls;
pub(crate) mod target;
pub(crate) mod usage;

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::serve;

/// How long a child may take until it serves.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A child in a process group of its own. Dropping the guard kills the group, by its number.
#[derive(Debug)]
pub(crate) struct Guard {
    name: String,
    child: Child,
    /// How it ended, once it was waited for.
    ended: Option<ExitStatus>,
    stderr: Option<Tail>,
}

impl Guard {
    /// Starts `command`; `name` is for messages.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn spawn(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", shown(command)))?;
        let stderr = child.stderr.take().map(Tail::follow).transpose();
        let mut guard = Self {
            name: name.to_owned(),
            child,
            ended: None,
            stderr: None,
        };
        guard.stderr = stderr?; // an error ends the child
        Ok(guard)
    }

    /// Its process ID.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails when the child has ended, and says how and with which last words. Its children have
    /// ended, too, by then.
    ///
    /// # Errors
    /// When the child has ended, or cannot be asked.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        let status = match self.ended {
            Some(status) => status,
            None if !self.has_ended()? => return Ok(()),
            None => self.end()?,
        };
        let words = self
            .stderr
            .as_ref()
            .map(Tail::last_words)
            .unwrap_or_default();
        bail!("{} ended ({status}){words}", self.name);
    }

    /// Whether it has, without waiting for it: until then the number is this child's, and that of
    /// its group.
    fn has_ended(&self) -> io::Result<bool> {
        let asked = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(Pid::from_child(&self.child)), asked)?;
        Ok(status.is_some())
    }

    /// Ends what is left of the group, and waits for the child.
    fn end(&mut self) -> io::Result<ExitStatus> {
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok(); // gone is as good
        let status = self.child.wait()?;
        self.ended = Some(status);
        Ok(status)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.end().ok();
        }
    }
}

/// The last lines of a child's stderr, read as they come so that the child never blocks.
#[derive(Debug)]
struct Tail {
    lines: Arc<Mutex<VecDeque<String>>>,
    /// Disconnected when the reader has come to the end.
    end: mpsc::Receiver<()>,
}

impl Tail {
    fn follow(pipe: impl Read + Send + 'static) -> io::Result<Self> {
        const KEPT: usize = 20; // lines
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let (reading, end) = mpsc::channel::<()>();
        let read = Arc::clone(&lines);
        thread::Builder::new()
            .name("stderr".to_owned())
            .spawn(move || {
                for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                    let mut lines = read.lock().unwrap_or_else(PoisonError::into_inner);
                    if lines.len() == KEPT {
                        lines.pop_front();
                    }
                    lines.push_back(String::from_utf8_lossy(&line).into_owned());
                }
                drop(reading);
            })?;
        Ok(Self { lines, end })
    }

    /// What an ended child wrote last. Its grandchildren may hold the pipe open for longer, and
    /// are not waited for beyond a second.
    fn last_words(&self) -> String {
        self.end.recv_timeout(Duration::from_secs(1)).ok(); // an error either way, at the latest then
        self.so_far()
    }

    fn so_far(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.is_empty() {
            true => ", without a word on stderr".to_owned(),
            false => lines
                .iter()
                .fold(":".to_owned(), |text, line| text + "\n  " + line),
        }
    }
}

/// Starts the stand-in as a child. It ends with this process.
///
/// # Errors
/// When it does not serve within 10 s.
pub(crate) fn start_standin(seed: u64) -> anyhow::Result<(Guard, SocketAddr)> {
    start_server("the stand-in", &["serve", "--seed", &seed.to_string()])
}

/// Starts an origin as a child, so that its CPU time is its own. It ends with this process.
///
/// # Errors
/// When it does not serve within 10 s.
pub(crate) fn start_origin() -> anyhow::Result<(Guard, SocketAddr)> {
    start_server("the origin", &["origin"])
}

/// Starts this very executable with `args`, and waits for the line that tells where it listens.
fn start_server(name: &str, args: &[&str]) -> anyhow::Result<(Guard, SocketAddr)> {
    let executable = std::env::current_exe().context("cannot find this executable")?;
    let mut command = Command::new(executable);
    command
        .args(args)
        .args(["--listen", "127.0.0.1:0", "--end-with-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut guard = Guard::spawn(name, &mut command)?;
    let stdout = guard.child.stdout.take();
    let stdout = stdout.with_context(|| format!("{name} has no stdout"))?;
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).ok(); // an empty line says as much
        send.send(line).ok(); // nobody waits any more
    });
    let line = receive.recv_timeout(START_LIMIT).unwrap_or_default();
    let addr = line
        .trim_end()
        .strip_prefix(serve::READY)
        .and_then(|addr| addr.parse().ok());
    match addr {
        Some(addr) => Ok((guard, addr)),
        None => {
            guard.check()?;
            bail!("{name} did not say where it listens");
        }
    }
}

/// Starts a proxy that listens where `command` is told, and returns when it accepts. A free port
/// is chosen here; when another process takes it first, the next one is tried.
///
/// # Errors
/// When the proxy ends or does not accept within 10 s; its stderr is part of the error.
pub(crate) fn start_proxy(
    name: &str,
    command: impl Fn(SocketAddr) -> io::Result<Command>,
) -> anyhow::Result<(Guard, SocketAddr)> {
    const TRIES: usize = 3;
    let mut tried = 1;
    loop {
        let listen = free_port()?;
        let mut guard = Guard::spawn(name, &mut command(listen)?)?;
        match wait_until_it_accepts(&mut guard, listen) {
            Ok(()) => return Ok((guard, listen)),
            Err(error) if tried == TRIES => return Err(error),
            Err(_) => tried += 1,
        }
    }
}

fn wait_until_it_accepts(guard: &mut Guard, addr: SocketAddr) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        guard.check()?;
        if TcpStream::connect_timeout(&addr, START_LIMIT).is_ok() {
            return guard.check(); // somebody else's listener would accept as well
        }
        if started.elapsed() > START_LIMIT {
            let words = guard.stderr.as_ref().map(Tail::so_far).unwrap_or_default();
            bail!(
                "{} does not accept connections on {addr}{words}",
                guard.name
            );
        }
        thread::sleep(Duration::from_millis(5)); // between two looks at the condition
    }
}

fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The program called `name` in `PATH`.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&in_path).map(|folder| folder.join(name));
    files.find(|file| file.is_file())
}

/// Says why a test proves nothing here: past what keeps the words of a test that passes to itself.
#[cfg(test)]
fn skip(why: &str) {
    use std::io::Write as _;
    let thread = thread::current();
    let test = thread.name().unwrap_or("a thread");
    let line = format!("skipped: {test}: {why}\n");
    io::stderr().write_all(line.as_bytes()).ok(); // as one, whatever others write meanwhile
}

/// A command as one would type it, more or less.
pub(crate) fn shown(command: &Command) -> String {
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_dropped_guard_ends_the_child_and_its_children() {
        let mut command = shell("sleep 600 & echo started; wait");
        let mut guard = Guard::spawn("sleeper", command.stdout(Stdio::piped())).unwrap();
        let mut stdout = BufReader::new(guard.child.stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        guard.check().unwrap();
        drop(guard);
        // The pipe ends when its last holder, the grandchild, has ended.
        assert_eq!(stdout.read_line(&mut String::new()).unwrap(), 0);
    }

    #[test]
    fn a_child_that_ends_by_itself_leaves_no_children_behind() {
        let mut command = shell("sleep 600 & exit 3");
        let mut guard = Guard::spawn("master", command.stdout(Stdio::piped())).unwrap();
        let mut stdout = guard.child.stdout.take().unwrap();
        let error = loop {
            if let Err(error) = guard.check() {
                break error.to_string();
            }
            thread::yield_now();
        };
        assert!(error.contains("master ended (exit status: 3)"), "{error}");
        assert_eq!(
            stdout.read(&mut [0]).unwrap(),
            0,
            "its last holder has ended"
        );
        guard.check().unwrap_err();
    }

    #[test]
    fn a_proxy_that_ends_tells_why() {
        let error = start_proxy("broken", |_| Ok(shell("echo no such option >&2; exit 3")));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("broken ended (exit status: 3)"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = start_proxy("ghost", |_| Ok(Command::new("/no/such/program"))).unwrap_err();
        assert!(
            format!("{error:#}").contains("/no/such/program"),
            "{error:#}"
        );
    }
}
