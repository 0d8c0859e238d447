//! System calls of a process tree, counted by `perf`.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::Guard;
use super::usage::tree;

const EVENT: &str = "raw_syscalls:sys_enter";

/// How long perf may take for a step.
const LIMIT: Duration = Duration::from_secs(5);

/// Why the calls of no process can be counted here; `None` when they can.
pub(crate) fn unavailable() -> Option<String> {
    let probe = Command::new("perf")
        .args(["stat", "-x,", "-e", EVENT, "true"])
        .output();
    let output = match probe {
        Ok(output) => output,
        Err(error) => return Some(format!("perf cannot be run: {error}")),
    };
    let text = String::from_utf8_lossy(&output.stderr);
    match counted(&text) {
        Some(1..) => None,
        _ => Some(format!(
            "perf cannot count {EVENT} (it needs root, or a lower kernel.perf_event_paranoid and a \
             readable tracefs)"
        )),
    }
}

/// A count under way.
#[derive(Debug)]
pub(crate) struct Syscalls {
    perf: Guard,
    control: File,
    acknowledged: File,
    folder: TempDir,
}

impl Syscalls {
    /// Begins to count the calls of `pid` and its descendants, those to come among them. Counting
    /// slows every call, so nothing else should be measured meanwhile.
    ///
    /// # Errors
    /// When perf cannot be attached.
    pub(crate) fn start(pid: u32) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("loadtest-")?;
        let (control, ack) = (folder.path().join("control"), folder.path().join("ack"));
        let pids = tree(pid).iter().map(u32::to_string).collect::<Vec<_>>();
        let mut command = Command::new("perf");
        command
            .args([
                "stat",
                "-x,",
                "-D",
                "-1",
                "-e",
                EVENT,
                "-p",
                &pids.join(","),
            ])
            .arg("--control")
            .arg(format!("fifo:{},{}", control.display(), ack.display()))
            .arg("-o")
            .arg(folder.path().join("counts"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let (control, acknowledged) = (fifo(&control)?, fifo(&ack)?);
        let mut counting = Self {
            perf: Guard::spawn("perf", &mut command)?,
            control,
            acknowledged,
            folder,
        };
        counting.order("enable\n")?;
        Ok(counting)
    }

    /// Ends the count.
    ///
    /// # Errors
    /// When perf does not tell it.
    pub(crate) fn finish(mut self) -> anyhow::Result<u64> {
        self.order("disable\n")?;
        let perf = i32::try_from(self.perf.pid()).ok().and_then(Pid::from_raw);
        kill_process(perf.context("perf has no process ID")?, Signal::INT)?;
        let started = Instant::now();
        while self.perf.check().is_ok() {
            if started.elapsed() > LIMIT {
                bail!("perf does not end");
            }
            std::thread::sleep(Duration::from_millis(5)); // between two looks at the condition
        }
        let text = fs::read_to_string(self.folder.path().join("counts"))?;
        counted(&text).with_context(|| format!("perf counted nothing: {}", text.trim()))
    }

    fn order(&mut self, order: &str) -> anyhow::Result<()> {
        self.control.write_all(order.as_bytes())?;
        let started = Instant::now();
        let mut answer = [0; 16];
        loop {
            match self.acknowledged.read(&mut answer) {
                Ok(1..) => return Ok(()),
                Ok(0) | Err(_) if started.elapsed() < LIMIT => self.perf.check()?,
                Ok(0) => bail!("perf does not answer"),
                Err(error) => return Err(error).context("perf does not answer"),
            }
            std::thread::sleep(Duration::from_millis(1)); // between two looks at the condition
        }
    }
}

/// Opened both ways, so that neither end waits for the other; reads return at once.
fn fifo(path: &Path) -> anyhow::Result<File> {
    mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?;
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?.into())
}

/// The sum in perf's output; an event of which there was none has no number.
fn counted(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains(EVENT))?;
    match line.split(',').next()? {
        "<not counted>" => Some(0),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;
    use crate::process::skip;

    #[test]
    fn counts_are_read() {
        let line = |value: &str| format!("# started\n\n{value},,{EVENT},100,100.00,,\n");
        assert_eq!(counted(&line("4711")), Some(4711));
        assert_eq!(counted(&line("<not counted>")), Some(0));
        assert_eq!(counted(&line("<not supported>")), None);
        assert_eq!(counted(""), None);
    }

    #[test]
    fn the_calls_of_a_child_are_counted() {
        if let Some(why) = unavailable() {
            return skip(&why);
        }
        // Each line in makes it read and write at least once.
        let mut command = Command::new("sh");
        command
            .args(["-c", "while read -r line; do echo $line; done"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut guard = Guard::spawn("echo", &mut command).unwrap();
        let mut stdin = guard.child.stdin.take().unwrap();
        let mut stdout = BufReader::new(guard.child.stdout.take().unwrap());
        let mut round_trip = || {
            stdin.write_all(b"x\n").unwrap();
            stdout.read_line(&mut String::new()).unwrap();
        };
        round_trip();
        let counting = Syscalls::start(guard.pid()).unwrap();
        (0..100).for_each(|_| round_trip());
        let calls = counting.finish().unwrap();
        assert!(calls >= 200, "{calls}");
    }
}
