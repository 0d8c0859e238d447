//! The end of a process with all that it has started.

use std::{fs, process::Child};

use rustix::process::{Pid, Signal, kill_process};

/// Kills a child and its descendants, whichever groups they are in, and waits for the child. A
/// master that is killed alone leaves its workers behind.
///
/// They stay in the group of the tests: whoever interrupts the tests from a terminal ends them, too.
pub(crate) fn end(child: &mut Child) {
    if let Ok(None) = child.try_wait() {
        // Held still, nobody starts another one, or waits for one whose number is then another's.
        for pid in held_still(Pid::from_child(child)) {
            kill_process(pid, Signal::KILL).ok();
        }
        drop(child.wait());
    }
}

/// Stops a process and its descendants.
fn held_still(first: Pid) -> Vec<Pid> {
    let mut pids = vec![first];
    let mut next = 0;
    while let Some(&pid) = pids.get(next) {
        kill_process(pid, Signal::STOP).ok();
        pids.extend(children(pid));
        next += 1;
    }
    pids
}

fn children(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    let lists =
        tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    let children: Vec<_> = lists
        .flat_map(|list| {
            list.split(' ')
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .filter_map(Pid::from_raw)
        .collect();
    children
}
