use std::net::{Ipv4Addr, TcpListener};

use socket2::{Domain, Socket, Type};
use tokio::runtime::Builder;

use super::*;

/// A listener whose backlog is full: whoever connects is dropped, and tries again a second later.
fn full() -> (TcpListener, Vec<Socket>) {
    let stream = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let listener = stream();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let (addr, mut fillers) = (listener.local_addr().unwrap(), Vec::new());
    loop {
        let filler = stream();
        match filler.connect_timeout(&addr, STAGGER) {
            Ok(()) => fillers.push(filler),
            Err(_) => return (listener.into(), fillers),
        }
    }
}

fn race<S: Future<Output = ()>>(
    address: SocketAddr,
    sleep: impl Fn(Instant) -> S,
) -> Result<(OwnedFd, SocketAddr), Failure> {
    let runtime = Builder::new_current_thread().enable_io().build().unwrap();
    let dialer = Dialer::new();
    let addresses = [address];
    let race = dialer.race(&addresses, Duration::ZERO, sys::stream_socket, sleep);
    runtime.block_on(race)
}

#[test]
fn what_stood_before_a_late_deadline_was_looked_at_counts() {
    let (listener, fillers) = full();
    let address = listener.local_addr().unwrap();
    let given_up = race(address, |_| async {});
    assert!(matches!(given_up, Err(Failure::TimedOut)), "{given_up:?}");

    let (listener, fillers) = (&listener, &fillers);
    let held_up = |_| async move {
        // The thread does not come to its reactor until the connection stands.
        let own = |peer: &SocketAddr| {
            let filler = |socket: &Socket| socket.local_addr().unwrap().as_socket();
            fillers.iter().all(|socket| filler(socket) != Some(*peer))
        };
        while !own(&listener.accept().unwrap().1) {}
    };
    let (_, reached) = race(address, held_up).unwrap();
    assert_eq!(reached, address);
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn families_take_turns_and_the_one_that_worked_last_begins() {
    let sorted = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
    let six_first = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
    let four_first = addresses(&["1.1.1.1:1", "[::1]:1", "2.2.2.2:1", "[::2]:1", "[::3]:1"]);
    assert_eq!(interleaved(sorted.clone(), None), six_first);
    assert_eq!(interleaved(sorted.clone(), Some(Family::V6)), six_first);
    assert_eq!(interleaved(sorted, Some(Family::V4)), four_first);
    // A family that has gone is no loss.
    let four = addresses(&["1.1.1.1:1", "2.2.2.2:1"]);
    assert_eq!(interleaved(four.clone(), Some(Family::V6)), four);
}

#[test]
fn the_first_address_tells_why_unless_it_was_silent_and_another_refused() {
    let refused = || Failure::Refused(Errno::CONNREFUSED);
    let other = || Failure::Other(Errno::ADDRNOTAVAIL);
    let told = |failures: Vec<(usize, Failure)>| format!("{:?}", decisive(failures));
    let show = |failure: Failure| format!("{failure:?}");
    assert_eq!(told(vec![(1, refused()), (0, other())]), show(other()));
    assert_eq!(told(vec![(0, refused()), (1, other())]), show(refused()));
    assert_eq!(
        told(vec![(1, refused()), (0, Failure::TimedOut)]),
        show(refused())
    );
    assert_eq!(
        told(vec![(1, other()), (0, Failure::TimedOut)]),
        show(Failure::TimedOut)
    );
}
