//! A start that fails says why, and can be ended while it does.

use std::{
    ffi::OsStr,
    fs,
    io::{PipeWriter, Write, pipe},
    os::unix::{
        ffi::OsStrExt,
        process::{CommandExt, ExitStatusExt},
    },
    process::{Command, Stdio},
};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{Signal, getuid, kill_process},
};

use super::{
    Kept, end_of,
    support::{BINARY, binary_for_anybody, eventually, installed, skip},
};

/// Fills a pipe, which blocks whoever writes more.
fn fill(writer: &mut PipeWriter) {
    let flags = fcntl_getfl(&*writer).unwrap();
    fcntl_setfl(&*writer, flags | OFlags::NONBLOCK).unwrap();
    for bytes in [4096, 1] {
        while writer.write(&vec![b'x'; bytes]).is_ok() {}
    }
    fcntl_setfl(&*writer, flags).unwrap();
}

#[test]
fn help_and_errors_that_nobody_reads_are_ended_by_a_signal() {
    let (_unread, mut full) = pipe().unwrap();
    fill(&mut full);
    for signal in [Signal::TERM, Signal::INT] {
        for arguments in [
            &["--no-such-flag"][..],
            &["--help"],
            &["check", "--workers", "0"],
        ] {
            let mut command = Command::new(BINARY);
            command.args(arguments).stdin(Stdio::null());
            command.stdout(full.try_clone().unwrap());
            command.stderr(full.try_clone().unwrap());
            let mut stuck = Kept(command.spawn().unwrap());
            eventually("it waits for room", || {
                let stat = fs::read_to_string(format!("/proc/{}/stat", stuck.pid())).unwrap();
                stat.rsplit_once(')').unwrap().1.starts_with(" S")
            });
            assert!(stuck.ended().is_none());
            kill_process(stuck.pid(), signal).unwrap();
            assert_eq!(
                stuck.wait().signal(),
                Some(signal.as_raw()),
                "{arguments:?}"
            );
        }
    }
}

#[test]
fn without_a_thread_to_be_had_it_says_so() {
    if !getuid().is_root() {
        return skip("only root can take a uid that has no other process");
    }
    if !installed("prlimit") {
        return;
    }
    let (_dir, binary) = binary_for_anybody();
    for (threads, said) in [
        (1, "error: can't start the thread that writes the log: "),
        (2, "error: can't start the thread worker-0: "),
    ] {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nproc={threads}")).arg(&binary);
        command.args(["--listen", "127.0.0.1:0", "--admin", "off"]);
        let output = end_of(command.uid(54_999).gid(54_999));
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        let last = text.lines().last().unwrap_or_default();
        assert!(last.starts_with(said), "{text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[test]
fn a_value_that_is_no_text_is_found() {
    let no_text = OsStr::from_bytes(b"127.0.0.1:\xff");
    let listen = [OsStr::new("--listen"), no_text];
    for (output, said) in [
        (
            Command::new(BINARY).args(listen).output(),
            "it is in '--listen 127.0.0.1:",
        ),
        (
            Command::new(BINARY)
                .env("PORTAMENTO_LISTEN", no_text)
                .output(),
            "it is in the environment variable PORTAMENTO_LISTEN",
        ),
    ] {
        let output = output.unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(said), "{text}");
    }
}
