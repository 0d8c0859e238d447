//! A stream's first bytes, as the reader of PROXY headers sees them.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "headers are only read here")]
#[path = "../../src/edge/proxy_protocol/header.rs"]
mod header;

fuzz_target!(|stream: &[u8]| {
    let Ok(length) = header::length(stream) else {
        return;
    };
    // What is known of the end does not depend on what has come after it, or has yet to come.
    for count in [stream.len() / 2, stream.len().saturating_sub(1)] {
        let earlier = header::length(&stream[..count]).expect("more bytes make nothing right");
        assert!(earlier.is_none() || earlier == length);
    }
    let Some(length) = length else {
        assert!(stream.len() < header::MAX_LEN, "a header has an end");
        return;
    };
    assert!((1..=header::MAX_LEN).contains(&length));
    let Some(whole) = stream.get(..length) else {
        return;
    };
    let Ok(Some(told)) = header::parse(whole) else {
        return;
    };
    // Another parser reads the same, and so do we after we have written it.
    let (other, other_length) = proxy_header::ProxyHeader::parse(whole, Default::default())
        .expect("the other parser takes all that we take");
    assert_eq!(other_length, length);
    let other = other.proxied_address().expect("it names the client");
    assert_eq!(
        (other.source, other.destination),
        (told.source, told.destination)
    );
    for written in [header::Told::Tcp(told).v1(), header::Told::Tcp(told).v2()] {
        assert_eq!(header::length(&written), Ok(Some(written.len())));
        let again = header::parse(&written).expect("what we write is a header");
        let again = again.expect("it names the client");
        let canonical = |addr: std::net::SocketAddr| (addr.ip().to_canonical(), addr.port());
        assert_eq!(canonical(again.source), canonical(told.source));
        assert_eq!(canonical(again.destination), canonical(told.destination));
    }
});
