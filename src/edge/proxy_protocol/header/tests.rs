use proptest::{
    collection::vec,
    prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest},
};

use super::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn addresses(source: &str, destination: &str) -> Addresses {
    Addresses {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

/// A block of version 2 whose length is right.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

const V2_ENDS: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 7, 0xA2, 0x3C, 0x30, 0x39];

#[test]
fn a_line_names_the_client_and_where_it_meant_to_go() {
    for (line, expected) in [
        (
            "PROXY TCP4 192.0.2.1 198.51.100.7 41532 12345\r\n",
            Some(addresses("192.0.2.1:41532", "198.51.100.7:12345")),
        ),
        (
            "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n",
            Some(addresses("[2001:db8::1]:1", "[::1]:65535")),
        ),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN anything at all\r\n", None),
    ] {
        assert_eq!(parse(line.as_bytes()), Ok(expected), "{line:?}");
    }
}

#[test]
fn a_line_that_breaks_the_specification_is_refused() {
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.7 41532 12345\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 41532 12345 \n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 41532 12345 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 41532 12345\r\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.7 41532 12345\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 41532 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 041532 12345\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.7 41532 12345\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.7 41532 12345\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 41532\r\n",
        "PROXY TCP4 192.0.2.1\r\n",
        "PROXY TCP4 ::1 ::1 41532 12345\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.7 41532 12345\r\n",
        "PROXY TCP5 192.0.2.1 198.51.100.7 41532 12345\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.7 41532 12345\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.7 41532 12345\r\n",
        "PROXY \r\n",
        "PROXY UNKNOWN\rmore\r\n",
        "PROXY \u{b9}\r\n",
    ] {
        assert!(parse(line.as_bytes()).is_err(), "{line:?}");
    }
}

#[test]
fn a_block_names_the_client_and_where_it_meant_to_go() {
    let tcp4 = Some(addresses("192.0.2.1:41532", "198.51.100.7:12345"));
    let tcp6 = [
        &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..],
        &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &[0, 1, 0xff, 0xff],
    ]
    .concat();
    let with_tlvs = [V2_ENDS, &[0x05, 0, 3, 1, 2, 3, 0xEA, 0, 1, 9]].concat();
    for (block, expected) in [
        (v2(0x21, 0x11, V2_ENDS), tcp4),
        (v2(0x21, 0x11, &with_tlvs), tcp4),
        (
            v2(0x21, 0x21, &tcp6),
            Some(addresses("[2001:db8::1]:1", "[::1]:65535")),
        ),
    ] {
        assert_eq!(parse(&block), Ok(expected), "{block:?}");
    }
}

#[test]
fn what_is_no_tcp_connection_of_somebody_else_s_names_nobody() {
    for block in [
        v2(0x20, 0x00, &[]),
        v2(0x20, 0x11, V2_ENDS),
        v2(0x20, 0xFF, &[1, 2, 3]), // LOCAL: the family is ignored
        v2(0x21, 0x00, &[]),
        v2(0x21, 0x00, &[1, 2, 3]),
        v2(0x21, 0x12, V2_ENDS),
        v2(0x21, 0x31, &[b'x'; 216]),
    ] {
        assert_eq!(parse(&block), Ok(None), "{block:?}");
    }
}

#[test]
fn a_block_that_breaks_the_specification_is_refused() {
    for block in [
        v2(0x11, 0x11, V2_ENDS),       // version 1
        v2(0x22, 0x11, V2_ENDS),       // an unknown command
        v2(0x21, 0x41, V2_ENDS),       // an unknown family
        v2(0x21, 0x13, V2_ENDS),       // an unknown protocol
        v2(0x21, 0x11, &V2_ENDS[..8]), // no ports
        v2(0x21, 0x21, V2_ENDS),       // addresses of the other family
        v2(0x21, 0x31, &[0; 215]),
    ] {
        assert!(parse(&block).is_err(), "{block:?}");
    }
}

#[test]
fn the_end_of_a_header_is_known_as_soon_as_it_can_be() {
    let line = "PROXY TCP4 192.0.2.1 198.51.100.7 41532 12345\r\n".as_bytes();
    let block = v2(0x21, 0x11, V2_ENDS);
    for (header, told_after) in [(line, line.len()), (&block, V2_START)] {
        let stream = [header, b"PROXY GET \r\n\r\n\0\r\nQUIT\n"].concat();
        for count in 0..stream.len() {
            let expected = (count >= told_after).then_some(header.len());
            assert_eq!(length(&stream[..count]), Ok(expected), "{count}");
        }
    }
}

#[test]
fn what_can_t_become_a_header_is_refused_at_once() {
    for start in [
        "G",
        "PX",
        "PROXYX",
        "\r\n\r\n\r",
        "\r\n\r\n\0\r\nQUIT\r",
        "\0",
    ] {
        let refused = length(start.as_bytes());
        assert_eq!(refused, Err(HeaderError::Signature), "{start:?}");
    }
    let endless = [b"PROXY UNKNOWN ", &[b'x'; MAX_V1_LEN][..]].concat();
    assert_eq!(length(&endless[..MAX_V1_LEN - 1]), Ok(None));
    assert_eq!(length(&endless), Err(HeaderError::TooLong));
    let announced = |length: usize| v2(0x21, 0x11, &vec![0; length]);
    let longest = announced(MAX_LEN - V2_START);
    assert_eq!(length(&longest), Ok(Some(MAX_LEN)));
    let longer = announced(MAX_LEN - V2_START + 1);
    assert_eq!(length(&longer[..V2_START]), Err(HeaderError::TooLong));
}

#[test]
fn headers_are_written_as_the_specification_has_them() {
    let mapped = addresses("[::ffff:192.0.2.1]:41532", "[::ffff:198.51.100.7]:12345");
    for tcp4 in [addresses("192.0.2.1:41532", "198.51.100.7:12345"), mapped] {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.7 41532 12345\r\n";
        assert_eq!(Told::Tcp(tcp4).v1(), line);
        assert_eq!(Told::Tcp(tcp4).v2(), v2(0x21, 0x11, V2_ENDS));
    }
    let mixed = Told::Tcp(addresses("192.0.2.1:1", "[2001:db8::1]:2"));
    let line = b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\n";
    assert_eq!(mixed.v1(), line);

    let path = b"/run/portamento.sock";
    let names = [&[0; 108][..], path, &[0; 108 - 20]].concat();
    assert_eq!(Told::Unix(path).v1(), b"PROXY UNKNOWN\r\n");
    assert_eq!(Told::Unix(path).v2(), v2(0x21, 0x31, &names));
}

fn any_addresses() -> impl Strategy<Value = Addresses> {
    let v4 = any::<([u8; 4], u16, [u8; 4], u16)>()
        .prop_map(|(from, a, to, b)| (SocketAddr::from((from, a)), SocketAddr::from((to, b))));
    let v6 = any::<([u8; 16], u16, [u8; 16], u16)>()
        .prop_map(|(from, a, to, b)| (SocketAddr::from((from, a)), SocketAddr::from((to, b))));
    prop_oneof![v4, v6].prop_map(|(source, destination)| Addresses {
        source,
        destination,
    })
}

fn any_header() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any_addresses().prop_map(|addresses| Told::Tcp(addresses).v1()),
        any_addresses().prop_map(|addresses| Told::Tcp(addresses).v2()),
        vec(any::<u8>(), 0..200).prop_map(|rest| v2(0x20, 0x00, &rest)),
        vec(any::<u8>(), 0..200).prop_map(|tlvs| v2(0x21, 0x11, &[V2_ENDS, &tlvs].concat())),
        "PROXY UNKNOWN( [ -~]{0,80})?\r\n".prop_map(String::into_bytes),
        proptest::strategy::Just(b"PROXY UNKNOWN    \xFF \r\n".to_vec()),
    ]
}

/// What a reader makes of a stream that comes byte by byte.
fn read(stream: &[u8]) -> Result<Option<usize>, HeaderError> {
    for count in 0..=stream.len() {
        if let Some(length) = length(&stream[..count])?
            && length <= count
        {
            parse(&stream[..length])?;
            return Ok(Some(length));
        }
    }
    Ok(None)
}

proptest! {
    #[test]
    fn what_is_written_reads_back(told in any_addresses()) {
        let (source, destination) = told.of_one_family();
        let expected = Addresses { source, destination };
        for header in [Told::Tcp(told).v1(), Told::Tcp(told).v2()] {
            prop_assert_eq!(length(&header), Ok(Some(header.len())));
            prop_assert_eq!(parse(&header), Ok(Some(expected)));
        }
    }

    #[test]
    fn a_header_ends_where_it_ends_whatever_follows(
        header in any_header(),
        rest in vec(any::<u8>(), 0..64),
    ) {
        let stream = [&header[..], &rest].concat();
        prop_assert_eq!(read(&stream), Ok(Some(header.len())));
    }

    #[test]
    fn a_truncated_header_is_none(header in any_header(), cut in any::<proptest::sample::Index>()) {
        prop_assert_eq!(read(&header[..cut.index(header.len())]), Ok(None));
    }

    #[test]
    fn a_mutated_header_is_read_within_its_bounds_or_refused(
        header in any_header(),
        changes in vec(any::<(proptest::sample::Index, u8)>(), 1..4),
        rest in vec(any::<u8>(), 0..300),
    ) {
        let mut stream = header;
        for (index, byte) in changes {
            let index = index.index(stream.len());
            stream[index] = byte;
        }
        stream.extend(rest);
        if let Ok(Some(length)) = read(&stream) {
            prop_assert!(length <= stream.len() && length <= MAX_LEN);
        }
    }

    #[test]
    fn random_bytes_are_no_header(bytes in vec(any::<u8>(), 1..600)) {
        prop_assert!(!matches!(read(&bytes), Ok(Some(_))));
    }
}
