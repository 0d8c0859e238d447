use std::{
    cell::Cell,
    net::{Ipv4Addr, TcpListener},
};

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
    let dialer = Dialer::new(Vec::new());
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
fn families_take_turns_and_the_address_that_worked_last_begins() {
    let last = |text: &str| Some(text.parse().unwrap());
    let sorted = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
    let six_first = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
    let four_first = addresses(&["2.2.2.2:1", "[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
    assert_eq!(interleaved(sorted.clone(), None), six_first);
    assert_eq!(interleaved(sorted.clone(), last("::1")), six_first);
    assert_eq!(interleaved(sorted.clone(), last("::9")), six_first); // gone since
    assert_eq!(interleaved(sorted, last("2.2.2.2")), four_first);
    // A family that has gone is no loss.
    let four = addresses(&["1.1.1.1:1", "2.2.2.2:1"]);
    assert_eq!(interleaved(four.clone(), last("::1")), four);
}

#[test]
fn a_refusal_tells_most_then_a_shortage_here_then_the_first_address() {
    let refused = || Failure::Refused(Errno::CONNREFUSED);
    let shortage = || Failure::Other(Errno::MFILE);
    let unreachable = || Failure::Other(Errno::NETUNREACH);
    let silent = || Failure::TimedOut;
    let told = |failures: Vec<(usize, Failure)>| format!("{:?}", decisive(failures));
    let show = |failure: Failure| format!("{failure:?}");
    let both = |first, second| told(vec![(1, second), (0, first)]);
    for other in [silent, unreachable, shortage] {
        assert_eq!(both(refused(), other()), show(refused()));
        assert_eq!(both(other(), refused()), show(refused()));
    }
    assert_eq!(both(silent(), shortage()), show(shortage()));
    assert_eq!(both(silent(), unreachable()), show(silent()));
    assert_eq!(both(unreachable(), silent()), show(unreachable()));
}

#[test]
fn every_address_is_tried_within_the_time_and_few_are_under_way_at_once() {
    let (full, _fillers) = full();
    let silent = full.local_addr().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let alive = listener.local_addr().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let dialer = Dialer::new(Vec::new());
    let mut addresses = vec![silent; 30];
    addresses.push(alive);
    let most = Cell::new(0);
    let counted = |family| {
        let fd = sys::stream_socket(family)?;
        most.set(
            most.get()
                .max(dialer.beside.available_permits().abs_diff(BESIDE)),
        );
        Ok(fd)
    };
    let sleep = |until: Instant| tokio::time::sleep_until(until.into());
    let races = async {
        let race = || dialer.race(&addresses, Duration::from_secs(2), counted, sleep);
        tokio::join!(race(), race(), race(), race(), race())
    };
    let (a, b, c, d, e) = runtime.block_on(races);
    for raced in [a, b, c, d, e] {
        assert_eq!(raced.unwrap().1, alive);
    }
    assert!(most.get() <= BESIDE);
    assert_eq!(dialer.beside.available_permits(), BESIDE);
}
