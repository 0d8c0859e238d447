//! What the tests of the forwarder from outside share: the forwarder itself, in this process or as
//! one of its own, connections through it, and the bytes that go over them.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part of this"
)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod echo;
mod foreign;
mod forwarder;
mod lines;
mod link;
mod name_server;
mod network;
mod nobody;
mod pattern;
mod pests;
mod process;
pub(crate) mod proxy_header;
mod stuck;
mod tools;
mod tree;
mod unread;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use portamento::config::Engine;

pub(crate) use self::{
    admin::{Answer, Scrape, ask, connections, echoed, get},
    echo::{Echo, echo_once},
    foreign::Foreign,
    forwarder::{Forwarder, Rig, config_for},
    lines::Line,
    link::{
        Direction, End, Link, Origin, connect, exchange, is_reset, pass_to_end, patient, read_out,
        reset, send_until_stuck, told,
    },
    name_server::NameServer,
    network::{Network, set_ephemeral_ports},
    nobody::{BlackHole, Nobody},
    pattern::{Pattern, Random},
    pests::{Pests, loris, malformed, served},
    process::{BINARY, Process, binary_for_anybody, listening_ports, open_files, own_memory},
    tools::{can_mount, can_trace, installed, skip},
    tree::end,
    unread::Unread,
};

/// Bound on everything that is waited for: beyond it, it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds.
///
/// # Panics
/// It does not, for longer than anything here takes.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    eventually_some(what, || condition().then_some(()));
}

/// Waits until `look` finds something.
///
/// # Panics
/// It does not, for longer than anything here takes.
pub(crate) fn eventually_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came to be: {what}");
        thread::sleep(Duration::from_millis(3));
    }
}

/// Sets a flag when it is dropped: also where a test fails whose other threads wait for that.
pub(crate) struct SetOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Every engine.
pub(crate) const ENGINES: [Engine; 3] = [Engine::Copy, Engine::Splice, Engine::Auto];

/// Runs a case for every engine, at the same time; its thread's name says for which it failed.
pub(crate) fn for_each_engine(case: impl Fn(Engine) + Sync) {
    all_at_once(ENGINES.map(|engine| (format!("{engine:?}"), engine)), case);
}

/// Runs a case for every engine and for both directions, at the same time.
pub(crate) fn for_each_case(case: impl Fn(Engine, Direction) + Sync) {
    let cases = ENGINES.into_iter().flat_map(|engine| {
        [Direction::ToUpstream, Direction::ToClient]
            .map(|direction| (format!("{engine:?} {direction:?}"), (engine, direction)))
    });
    all_at_once(cases, |(engine, direction)| case(engine, direction));
}

/// Runs a case for every engine and for both directions, each with a process of its own.
pub(crate) fn for_each_process(flags: &[&str], case: impl Fn(&Process, &Origin, Direction) + Sync) {
    for_each_case(|engine, direction| {
        let origin = Origin::bind();
        let engine = format!("{engine:?}").to_lowercase();
        let process = Process::start(origin.addr(), &[flags, &["--engine", &engine]].concat());
        case(&process, &origin, direction);
    });
}

/// Runs a case for each value, each on a thread of its own with its name.
pub(crate) fn all_at_once<T: Send>(
    cases: impl IntoIterator<Item = (String, T)>,
    case: impl Fn(T) + Sync,
) {
    let case = &case;
    thread::scope(|scope| {
        let threads: Vec<_> = cases
            .into_iter()
            .map(|(name, value)| {
                thread::Builder::new()
                    .name(name)
                    .spawn_scoped(scope, move || case(value))
                    .unwrap()
            })
            .collect();
        let failed = threads
            .into_iter()
            .filter_map(|thread| thread.join().err())
            .count();
        assert_eq!(failed, 0, "cases that failed; see the threads above");
    });
}
