//! A name server of a test's own, on port 53 of a network of its own.

use std::{
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Answers every question with 127.0.0.1 (and that there is no IPv6 address), or with silence.
/// Dropping it ends it.
pub(crate) struct NameServer {
    state: Arc<State>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    speaks: AtomicBool,
    asked: AtomicUsize,
    ended: AtomicBool,
}

impl NameServer {
    /// Starts one that says nothing.
    pub(crate) fn silent(ip: &str) -> Self {
        let socket = UdpSocket::bind((ip, 53)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let thread = thread::spawn(move || {
            let mut question = [0; 512];
            while !shared.ended.load(Ordering::Relaxed) {
                let Ok((count, from)) = socket.recv_from(&mut question) else {
                    continue;
                };
                let (answer, is_v4) = answer(&question[..count]);
                shared
                    .asked
                    .fetch_add(usize::from(is_v4), Ordering::Relaxed);
                if shared.speaks.load(Ordering::Relaxed) {
                    drop(socket.send_to(&answer, from));
                }
            }
        });
        Self {
            state,
            thread: Some(thread),
        }
    }

    /// From now on it answers, or not.
    pub(crate) fn speak(&self, speaks: bool) {
        self.state.speaks.store(speaks, Ordering::Relaxed);
    }

    /// How often it was asked for an IPv4 address.
    pub(crate) fn asked(&self) -> usize {
        self.state.asked.load(Ordering::Relaxed)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(thread::JoinHandle::join));
    }
}

/// The answer, and whether an IPv4 address was asked for (RFC 1035, section 4).
fn answer(question: &[u8]) -> (Vec<u8>, bool) {
    const HEADER: usize = 12;
    let name = question[HEADER..]
        .iter()
        .position(|byte| *byte == 0)
        .unwrap();
    let kind = HEADER + name + 1;
    let is_v4 = question[kind..kind + 2] == [0, 1];
    let mut answer = question[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_v4), 0, 0, 0, 0]);
    answer.extend(&question[HEADER..kind + 4]);
    if is_v4 {
        // The name of the question, type A, class IN, a minute, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    (answer, is_v4)
}
