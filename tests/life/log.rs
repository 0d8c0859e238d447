//! A log that can't be written ends nothing, and what is lost is counted.

use std::{
    fs::{File, OpenOptions},
    io,
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::{Signal, kill_process};

use super::{
    Kept,
    support::{BINARY, PATIENCE, Scrape, eventually, eventually_some, listening_ports},
};

const CLIENTS: usize = 20;

/// Lets clients leave records in a log that takes none, and ends the process in order. `wrapped` ends
/// up as a forwarder with the arguments that it is given.
#[track_caller]
fn loses_lines_and_nothing_else(mut wrapped: Command) {
    let dir = tempfile::tempdir().unwrap();
    let front = dir.path().join("front"); // so that the one port is that of the admin endpoint
    let listen = format!("unix:{}", front.display());
    wrapped.args(["--listen", &listen, "--admin", "127.0.0.1:0"]);
    wrapped.args(["--upstream", "127.0.0.1:9"]);
    let mut process = Kept(wrapped.stdin(Stdio::null()).spawn().unwrap());
    drop(process.0.stderr.take()); // where it was a pipe, nobody reads it
    let admin = eventually_some("it listens", || {
        assert_eq!(process.ended(), None);
        listening_ports(process.pid()).first().copied()
    });
    let admin = SocketAddr::from(([127, 0, 0, 1], admin));
    for _ in 0..CLIENTS {
        let client = UnixStream::connect(&front).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        drop(io::copy(&mut &client, &mut io::sink())); // it is turned away, and recorded
    }
    eventually("what is lost is counted", || {
        Scrape::of(admin).value("portamento_log_drops_total") >= CLIENTS as f64
    });
    kill_process(process.pid(), Signal::INT).unwrap();
    assert_eq!(process.wait().code(), Some(0));
}

#[test]
fn a_full_disk() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(BINARY);
    command.stderr(full);
    loses_lines_and_nothing_else(command);
}

#[test]
fn a_reader_that_is_gone() {
    let mut command = Command::new(BINARY);
    command.stderr(Stdio::piped());
    loses_lines_and_nothing_else(command);
}

#[test]
fn a_file_at_the_limit_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let file = File::create(&log).unwrap();
    let mut command = Command::new("sh");
    // One block, of 512 or 1024 bytes. SIGXFSZ, which would kill, is what a shell leaves it at.
    command.args(["-c", "ulimit -f 1; exec \"$@\"", "sh", BINARY]);
    command.stderr(file);
    loses_lines_and_nothing_else(command);
    assert!([512, 1024].contains(&size(&log)), "{}", size(&log));
}

fn size(path: &Path) -> u64 {
    path.metadata().unwrap().len()
}
