//! Programs that may be missing, and what is said of a test that so proves nothing.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    sync::Mutex,
    thread,
};

/// Whether `PATH` leads to such a program; says so where it does not. A program that is there by an
/// absolute path alone is asked for behind one that brings it, so that `PATH` hides both.
pub(crate) fn installed(program: impl AsRef<Path>) -> bool {
    let program = program.as_ref();
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .filter_map(|folder| fs::metadata(folder.join(program)).ok()) // an absolute one is itself
        .any(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    if !found {
        skip(&format!("{} is not installed", program.display()));
    }
    found
}

/// Whether strace can watch a process; says so where it can't.
pub(crate) fn can_trace() -> bool {
    installed("strace") && works("strace", &["-o", "/dev/null", "true"])
}

/// Whether a process can have files of its own in the place of the machine's, by way of
/// `unshare --mount` and `mount`; says so where it can't.
pub(crate) fn can_mount() -> bool {
    ["unshare", "mount"].iter().all(installed) && works("unshare", &["--mount", "true"])
}

fn works(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    let command = command.args(args).stdout(Stdio::null());
    let works = command.stderr(Stdio::null()).status().unwrap().success();
    if !works {
        skip(&format!("{program} may not do its work here"));
    }
    works
}

/// Says, once, why a test proves nothing here: past what keeps the words of a test that passes to
/// itself.
pub(crate) fn skip(why: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let thread = thread::current();
    let test = thread.name().unwrap_or("a thread");
    let line = format!("skipped: {test}: {why}\n");
    if SAID.lock().unwrap().insert(line.clone()) {
        drop(io::stderr().write_all(line.as_bytes())); // as one, whatever others write meanwhile
    }
}
