//! An unprivileged user's pipes shrink when the user has too many of them
//! (`pipe-user-pages-soft`): splicing would cost twice as much as copying, so that what is bulk is
//! copied, visibly.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::Command,
    sync::mpsc,
    thread,
};

use rustix::{
    pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with},
    process::{Gid, Uid, getuid},
    thread::{set_thread_gid, set_thread_groups, set_thread_uid},
};

use self::support::{Link, Origin, Pattern, Process, binary_for_anybody, skip};

const MIB: usize = 1024 * 1024;

/// Nobody, on most systems.
const NOBODY: u32 = 65_534;

#[test]
fn pipes_that_shrank_are_not_used() {
    if !getuid().is_root() {
        return skip("only root can be somebody else");
    }
    let (_dir, binary) = binary_for_anybody();
    let origin = Origin::bind();
    let launch = || {
        let mut command = Command::new(&binary);
        command
            .uid(NOBODY)
            .gid(NOBODY)
            .args(["--listen", "127.0.0.1:0", "--access-log", "all"]);
        command.args([
            "--upstream",
            &origin.addr().to_string(),
            "--engine",
            "splice",
            "--workers",
            "1",
        ]);
        Process::launch(&mut command)
    };

    let process = launch();
    assert_eq!(
        path_of_bulk(&process, &origin),
        "splice",
        "with pipes to be had"
    );
    drop(process);

    let Some(hoard) = Hoard::of_all_pipes() else {
        return skip("this kernel lets its users have as many pipes as they like");
    };
    let process = launch();
    assert_eq!(
        path_of_bulk(&process, &origin),
        "copy",
        "with pipes of 8 KiB"
    );

    // What was refused is asked for again.
    drop(hoard);
    support::eventually("it splices again", || {
        path_of_bulk(&process, &origin) != "copy"
    });
}

/// The path of a transfer, as its record says.
fn path_of_bulk(process: &Process, origin: &Origin) -> String {
    let link = Link::open(process.addr(), origin);
    let pattern = Pattern::new(1);
    pattern.pass(&link.client, &link.server, 0..8 * MIB);
    let client = link.client.local_addr().unwrap();
    drop(link);
    process.record_of(client).text("path").to_owned()
}

/// So many pipes of [`NOBODY`] that the next one is small.
struct Hoard {
    _pipes: Vec<(OwnedFd, OwnedFd)>,
}

impl Hoard {
    fn of_all_pipes() -> Option<Self> {
        let (hoarded, pipes) = mpsc::channel();
        // A thread changes its user for good, and ends; its pipes stay that user's.
        thread::spawn(move || {
            set_thread_groups(&[]).unwrap();
            set_thread_gid(Gid::from_raw(NOBODY)).unwrap();
            set_thread_uid(Uid::from_raw(NOBODY)).unwrap();
            let mut pipes = Vec::new();
            while pipes.len() < 4096 {
                let pipe = pipe_with(PipeFlags::CLOEXEC).unwrap();
                fcntl_setpipe_size(&pipe.0, MIB).ok(); // fewer are needed then
                let small = fcntl_getpipe_size(&pipe.0).unwrap() < 16 * 4096;
                pipes.push(pipe);
                if small {
                    hoarded.send(pipes).unwrap();
                    return;
                }
            }
        });
        pipes.recv().ok().map(|pipes| Self { _pipes: pipes })
    }
}
