//! A worker whose calls go wrong, for as long as a test likes.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{PATIENCE, Process, can_trace, skip};

/// What was done to a worker's calls, until this is dropped.
pub(crate) struct Injected(Child);

impl Process {
    /// Has the call that `worker-0` sleeps in return late, so that it passes no tick meanwhile.
    /// `None`, with a word to say why, where strace is not installed or may not trace.
    pub(crate) fn stick_worker(&self) -> Option<Injected> {
        self.inject("epoll_wait,epoll_pwait", "delay_exit=3600000000")
    }

    /// Has `calls` of `worker-0` go wrong as strace(1) describes it for `--inject`. `None`, with a word
    /// to say why, where strace is not installed or may not trace.
    pub(crate) fn inject(&self, calls: &str, fault: &str) -> Option<Injected> {
        if !can_trace() {
            return None;
        }
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let worker = tasks
            .map(|task| task.unwrap().path())
            .find(|task| fs::read_to_string(task.join("comm")).unwrap().trim() == "worker-0")
            .unwrap();
        let strace = Command::new("strace")
            .args(["-qq", "-o", "/dev/null", "-e"])
            .arg(format!("trace={calls}"))
            .arg("-e")
            .arg(format!("inject={calls}:{fault}"))
            .arg("-p")
            .arg(worker.file_name().unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut injected = Injected(strace);
        let tracer = format!("TracerPid:\t{}\n", injected.0.id());
        let deadline = Instant::now() + PATIENCE;
        while !fs::read_to_string(worker.join("status"))
            .unwrap()
            .contains(&tracer)
        {
            if Instant::now() > deadline || injected.0.try_wait().unwrap().is_some() {
                skip("strace may not attach to a process here");
                return None;
            }
            thread::yield_now();
        }
        Some(injected)
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).ok(); // it lets go
        drop(self.0.wait());
    }
}
