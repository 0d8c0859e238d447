//! The plain TCP origins, from outside.

#![expect(
    clippy::unwrap_used,
    reason = "in the helpers too, a failed unwrap fails the test"
)]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use loadtest::origin::{Mode, Origin, SEED};
use loadtest::pattern;

fn connect(origin: &Origin) -> TcpStream {
    TcpStream::connect(origin.local_addr()).unwrap()
}

#[test]
fn echo_returns_everything_and_ends_after_the_client() {
    let origin = Origin::start(Mode::Echo).unwrap();
    let mut client = connect(&origin);
    let mut sent = vec![0; 100_000];
    pattern::fill(7, 0, &mut sent);
    client.write_all(&sent).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert!(received == sent);
}

#[test]
fn sink_counts_and_closes() {
    let origin = Origin::start(Mode::Sink).unwrap();
    let mut client = connect(&origin);
    client.write_all(&[1; 70_000]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    assert_eq!((origin.received(), origin.accepted()), (70_000, 1));
}

#[test]
fn source_sends_the_pattern_to_its_end() {
    let origin = Origin::start(Mode::Source(1_000_003)).unwrap();
    let mut received = Vec::new();
    connect(&origin).read_to_end(&mut received).unwrap();
    assert_eq!(received.len(), 1_000_003);
    assert_eq!(pattern::first_difference(SEED, 0, &received), None);
}

#[test]
fn exchange_answers_whole_requests_only() {
    let origin = Origin::start(Mode::Exchange {
        request: 10,
        response: 3_000,
    })
    .unwrap();
    let mut client = connect(&origin);
    let mut answer = vec![0; 3_000];
    for _ in 0..2 {
        client.write_all(&[0; 4]).unwrap();
        client.write_all(&[0; 6]).unwrap();
        client.read_exact(&mut answer).unwrap();
        assert_eq!(pattern::first_difference(SEED, 0, &answer), None);
    }
    client.write_all(&[0; 9]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut answer).unwrap(), 0);
}

#[test]
fn a_dropped_origin_cuts_its_connections() {
    let origin = Origin::start(Mode::Echo).unwrap();
    let mut client = connect(&origin);
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    assert_eq!(origin.open(), 1);
    drop(origin);
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
}
