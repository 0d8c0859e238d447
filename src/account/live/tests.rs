use std::{
    io::Read,
    net::{TcpListener, TcpStream},
    os::fd::BorrowedFd,
};

use super::*;
use crate::config::{Config, defaults};

/// One side of a connection of the test's own.
struct Socket(TcpStream);

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Side for Socket {
    fn undelivered(&self) -> usize {
        send_queue(&self.0).unwrap()
    }
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

/// A table with one connection in it, which stands, and has an idle bound of three sweeps.
struct Rig {
    table: LiveTable,
    live: Rc<Live>,
    timeouts: Timeouts,
    client: TcpStream,
    _upstream: TcpStream,
    begun: Instant,
}

impl Rig {
    fn new() -> Self {
        let mut timeouts = Config::for_pair(defaults::LISTEN, defaults::UPSTREAM).timeouts;
        timeouts.idle = Some(3 * SWEEP);
        let table = LiveTable::default();
        let begun = Instant::now();
        let peer = ClientPeer::Unix;
        let live = table.enter(peer, begun, &timeouts, Arc::default());
        live.connected(UpstreamPeer::Unix(PathBuf::new()));
        let ((client, ours), (upstream, theirs)) = (pair(), pair());
        live.sockets.replace(Some([
            Rc::new(Socket(ours)) as Rc<dyn Side>,
            Rc::new(Socket(theirs)),
        ]));
        Self {
            table,
            live,
            timeouts,
            client,
            _upstream: upstream,
            begun,
        }
    }

    /// Sweeps so many sweeps' time after the begin, and says whether the connection is cut.
    fn sweep(&self, at: u32) -> Option<Reason> {
        self.table.sweep(self.begun + at * SWEEP, &self.timeouts);
        self.live.cut.get()
    }
}

#[test]
fn silence_is_cut_when_it_has_lasted_for_its_bound() {
    let rig = Rig::new();
    assert_eq!([1, 2].map(|at| rig.sweep(at)), [None, None]);
    assert_eq!(rig.sweep(3), Some(Reason::Idle));
}

#[test]
fn a_sweep_that_comes_late_cuts_nobody_and_its_delay_is_nobodys_silence() {
    let rig = Rig::new();
    assert_eq!(rig.sweep(1), None);
    assert_eq!(rig.sweep(50), None); // the worker was held up for 48 of them
    assert_eq!(rig.sweep(51), Some(Reason::Idle));
}

#[test]
fn sweeps_that_are_always_late_cut_silence_in_the_end() {
    let rig = Rig::new();
    let cut = (1..100).map(|turn| rig.sweep(3 * turn));
    assert!(cut.flatten().next().is_some());
}

#[test]
fn a_send_queue_that_shrinks_is_no_silence_and_one_that_does_not_is() {
    let mut rig = Rig::new();
    let ours = rig
        .live
        .sockets
        .borrow()
        .as_ref()
        .map(|[ours, _]| Rc::clone(ours));
    let ours = ours.unwrap();
    rustix::io::ioctl_fionbio(&ours, true).unwrap();
    while let Ok(count) = rustix::io::write(&ours, &[0; 65536]) {
        rig.live.moved(Way::ToClient, Path::Copy, count);
    }
    assert!(rig.live.undelivered(Way::ToClient) > 0);
    rig.sweep(0);
    let mut at = 0;
    for _ in 0..6 {
        let before = send_queue(&ours).unwrap();
        while send_queue(&ours).unwrap() >= before {
            rig.client.read_exact(&mut [0; 65536]).unwrap();
        }
        at += 1;
        assert_eq!(rig.sweep(at), None);
    }
    // From now on it reads nothing.
    assert_eq!([1, 2].map(|more| rig.sweep(at + more)), [None, None]);
    assert_eq!(rig.sweep(at + 3), Some(Reason::Idle));
}

#[test]
fn what_is_undelivered_is_a_part_of_what_has_left() {
    let rig = Rig::new();
    let ours = rig
        .live
        .sockets
        .borrow()
        .as_ref()
        .map(|[ours, _]| Rc::clone(ours))
        .unwrap();
    rustix::io::ioctl_fionbio(&ours, true).unwrap();
    while rustix::io::write(&ours, &[0; 65536]).is_ok() {} // a header
    rig.live.moved(Way::ToClient, Path::Copy, 5);
    assert_eq!(rig.live.undelivered(Way::ToClient), 5);
}

#[test]
fn whoever_enters_after_all_were_cut_is_cut() {
    let rig = Rig::new();
    rig.table.cut_all(Reason::Drain);
    let late = rig
        .table
        .enter(ClientPeer::Unix, rig.begun, &rig.timeouts, Arc::default());
    assert_eq!(late.cut.get(), Some(Reason::Drain));
}
