//! A signal is heard whenever it comes, and whatever the parent did to it.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, getuid, kill_process};

use super::{
    Kept,
    support::{
        BINARY, BlackHole, Echo, Process, echo_once, echoed, eventually, eventually_some,
        installed, skip,
    },
};

/// With env(1) in front, which does to signals what a parent may have done.
fn through_env(options: &[&str]) -> Option<Command> {
    let knows = |option: &&str| {
        let tried = Command::new("env").args([option, "true"]).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    if !options.iter().all(knows) {
        skip("env does not know --block-signal: GNU coreutils from 8.31 on do");
        return None;
    }
    let mut command = Command::new("env");
    command.args(options);
    Some(command)
}

const FLAGS: [&str; 4] = ["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:9"];

#[test]
fn signals_that_the_parent_blocked_or_ignored_end_it_all_the_same() {
    for option in ["--block-signal", "--ignore-signal"] {
        for signal in [Signal::TERM, Signal::INT] {
            let both = ["TERM", "INT"].map(|name| format!("{option}={name}"));
            let Some(mut command) = through_env(&both.each_ref().map(String::as_str)) else {
                return;
            };
            let mut process = Process::launch(command.arg(BINARY).args(FLAGS));
            process.signal(signal);
            assert_eq!(process.wait().code(), Some(0), "{option} {signal:?}");
        }
    }
}

#[test]
fn a_signal_that_came_before_the_first_instruction_is_acted_on() {
    for (name, message) in [("TERM", "draining"), ("INT", "stopping")] {
        let Some(mut command) = through_env(&[&format!("--block-signal={name}")]) else {
            return;
        };
        // What waits goes with the process from one program to the next.
        let script = format!("kill -{name} $$; exec \"$@\"");
        command
            .args(["sh", "-c", &script, "sh", BINARY])
            .args(FLAGS);
        let mut process = Process::launch(&mut command);
        assert_eq!(process.wait().code(), Some(0), "{name}");
        assert_eq!(process.count(message), 1, "{name}");
    }
}

#[test]
fn the_first_process_of_a_container_hears_sigterm_from_its_start_on() {
    if !getuid().is_root() {
        return skip("only root can make namespaces");
    }
    if !installed("unshare") {
        return;
    }
    for _ in 0..10 {
        let mut command = Command::new("unshare");
        command.args(["--fork", "--pid", "--net", "--kill-child", BINARY]);
        command.args(FLAGS).stderr(Stdio::null());
        let mut unshare = Kept(command.spawn().unwrap());
        let first = eventually_some("the first process is this program", || {
            if let Some(status) = unshare.ended() {
                panic!("it has ended: {status}");
            }
            let id = unshare.pid();
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
            let pid = children.split_whitespace().next()?.parse().ok()?;
            // Long before it listens: it holds signals back in its first line.
            (comm(pid)? == "portamento" && blocks(pid, Signal::TERM)?).then_some(pid)
        });
        kill_process(Pid::from_raw(first).unwrap(), Signal::TERM).unwrap();
        let status = unshare.wait();
        assert_eq!(status.code(), Some(0));
    }
}

#[test]
fn a_terminal_that_is_closed_ends_nothing() {
    let upstream = Echo::start();
    let mut process = Process::start(upstream.addr(), &[]);
    let client = echoed(process.addr());
    let heard = "SIGHUP: there is nothing to reload, and it ends nothing";
    process.signal(Signal::HUP);
    eventually("it says so", || process.count(heard) > 0);
    process.signal(Signal::HUP);
    echo_once(&client, b"still there");
    drop(client);
    process.signal(Signal::TERM);
    assert_eq!(process.wait().code(), Some(0));
    assert_eq!(process.count(heard), 1, "once is enough");
}

#[test]
fn a_command_that_does_not_forward_is_ended_by_any_signal() {
    let silent = BlackHole::new();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        // Whoever runs the tests may ignore some of them: nohup, or a shell in the background.
        let options = [
            "--block-signal=TERM,INT,HUP",
            "--default-signal=TERM,INT,HUP",
        ];
        let Some(mut command) = through_env(&options) else {
            return;
        };
        command.args([BINARY, "check", "--connect-timeout", "1h", "--admin", "off"]);
        command.args(["--listen", "127.0.0.1:0", "--upstream"]);
        command.arg(silent.addr().to_string()).stdout(Stdio::null());
        let mut check = Kept(command.spawn().unwrap());
        let pid = check.pid().as_raw_nonzero().get();
        eventually("the check runs", || {
            comm(pid).as_deref() == Some("portamento") && blocks(pid, signal) == Some(false)
        });
        kill_process(check.pid(), signal).unwrap();
        let status = check.wait();
        assert_eq!(status.signal(), Some(signal.as_raw()));
    }
}

/// The name that a process runs under.
fn comm(pid: i32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim().to_owned())
}

/// Whether a process holds a signal back.
fn blocks(pid: i32, signal: Signal) -> Option<bool> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigBlk:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask & 1 << (signal.as_raw() - 1) != 0)
}
