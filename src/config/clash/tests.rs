use std::fs;

use super::*;

fn listen(text: &str) -> ListenAddr {
    text.parse().unwrap()
}

fn upstream(text: &str) -> UpstreamAddr {
    text.parse().unwrap()
}

fn check(pairs: &[GivenForward], own: &OwnAddresses) -> Result<(), ConfigError> {
    check_listeners(pairs)?;
    check_upstreams(pairs, own)
}

fn pairs(texts: &[&str]) -> Vec<GivenForward> {
    let pair = |text: &&str| {
        let given = Given::new("--forward", text);
        GivenForward {
            forward: text.parse().unwrap(),
            listen: given.clone(),
            upstream: given,
        }
    };
    texts.iter().map(pair).collect()
}

#[test]
fn listeners_overlap_where_the_kernel_would_refuse_both() {
    for (a, b, expected) in [
        ("127.0.0.1:80", "127.0.0.1:80", true),
        ("0.0.0.0:80", "127.0.0.1:80", true),
        ("0.0.0.0:80", "0.0.0.0:80", true),
        ("[::]:80", "[::1]:80", true),
        (":80", ":80", true),
        (":80", "10.0.0.1:80", true),
        (":80", "[fe80::1%2]:80", true),
        ("unix:x", "unix:./x", true),
        ("127.0.0.1:80", "127.0.0.2:80", false),
        ("127.0.0.1:80", "127.0.0.1:81", false),
        ("0.0.0.0:80", "[::]:80", false),
        ("0.0.0.0:80", "[::1]:80", false),
        ("127.0.0.1:80", "[::1]:80", false),
        ("[fe80::1%2]:80", "[fe80::1%3]:80", false),
        ("127.0.0.1:0", "127.0.0.1:0", false),
        (":0", ":0", false),
        (":0", "0.0.0.0:0", false),
        (":80", "unix:x", false),
        ("unix:x", "unix:y", false),
    ] {
        assert_eq!(overlap(&listen(a), &listen(b)), expected, "{a} {b}");
        assert_eq!(overlap(&listen(b), &listen(a)), expected, "{b} {a}");
    }
}

#[test]
fn an_upstream_leads_to_a_listener_that_would_take_its_connections() {
    for (from, to, expected) in [
        ("127.0.0.1:80", "127.0.0.1:80", true),
        ("127.0.0.1:80", "0.0.0.0:80", true),
        ("127.9.9.9:80", "0.0.0.0:80", true),
        ("[::1]:80", "[::]:80", true),
        ("127.0.0.1:80", ":80", true),
        ("[::1]:80", ":80", true),
        ("localhost:80", ":80", true),
        ("LocalHost.:80", "127.0.0.1:80", true),
        ("a.localhost:80", "[::1]:80", true),
        ("localhost:80", "0.0.0.0:80", true),
        ("localhost:80", "[::]:80", true),
        (":80", "[::]:80", true),
        ("0.0.0.0:80", "127.0.0.1:80", true),
        ("0.0.0.0:80", ":80", true),
        ("[::]:80", "[::1]:80", true),
        ("10.0.0.5:80", "10.0.0.5:80", true),
        ("unix:./x", "unix:x", true),
        ("127.0.0.1:81", "127.0.0.1:80", false),
        ("127.0.0.2:80", "127.0.0.1:80", false),
        ("10.0.0.5:80", "0.0.0.0:80", false),
        ("10.0.0.5:80", ":80", false),
        ("localhost:80", "10.0.0.5:80", false),
        ("localhost.example:80", ":80", false),
        ("tempo:80", ":80", false),
        // An IPv6 listener takes no IPv4 connections: one family in front of the other.
        ("127.0.0.1:80", "[::]:80", false),
        ("[::1]:80", "0.0.0.0:80", false),
        ("[fe80::1%2]:80", "[fe80::1%3]:80", false),
        ("unix:x", ":80", false),
        ("127.0.0.1:80", "unix:x", false),
        ("127.0.0.1:80", ":0", false),
    ] {
        let found = leads_to(&upstream(from), &listen(to), &OwnAddresses::of(&[]));
        assert_eq!(found, expected, "{from} {to}");
    }
}

#[test]
fn an_upstream_at_an_address_of_this_host_leads_to_a_listener_on_all_of_them() {
    let own = OwnAddresses::of(&[("10.0.0.5", 2), ("fd00::5", 2), ("fe80::1", 2)]);
    for (from, to, expected) in [
        ("10.0.0.5:80", "0.0.0.0:80", true),
        ("10.0.0.5:80", ":80", true),
        ("[fd00::5]:80", "[::]:80", true),
        ("[fd00::5]:80", ":80", true),
        ("[fe80::1%2]:80", "[::]:80", true),
        ("10.0.0.5:80", "10.0.0.5:80", true),
        ("10.0.0.5:81", ":80", false),
        ("10.0.0.6:80", ":80", false),
        ("10.0.0.5:80", "127.0.0.1:80", false),
        ("10.0.0.5:80", "[::]:80", false), // takes no IPv4 connections
        ("[fd00::5]:80", "0.0.0.0:80", false),
        ("[fe80::1%3]:80", "[::]:80", false),
        ("10.0.0.5:80", ":0", false),
    ] {
        let found = leads_to(&upstream(from), &listen(to), &own);
        assert_eq!(found, expected, "{from} {to}");
    }
    // A resolver's answer, or what is no flag's, may have the form that flags refuse.
    for to in [":80", "0.0.0.0:80"] {
        for mapped in [
            "[::ffff:10.0.0.5]:80",
            "[::ffff:127.0.0.1]:80",
            "[::ffff:0.0.0.0]:80",
        ] {
            assert!(
                accepts(&listen(to), mapped.parse().unwrap(), &own),
                "{mapped} {to}"
            );
        }
    }
    let admin = "0.0.0.0:9464".parse().unwrap();
    let error = check_admin(&pairs(&[":1=10.0.0.5:9464"]), &admin, &own).unwrap_err();
    assert!(matches!(error, ConfigError::Loop { .. }), "{error}");
}

#[test]
fn pairs_are_held_against_each_other() {
    assert!(
        check(
            &pairs(&[":1=:2", ":3=:2", "unix:x=unix:y"]),
            &OwnAddresses::of(&[])
        )
        .is_ok()
    );

    let overlapping = check(
        &pairs(&[":1=:9", ":2=:9", "127.0.0.1:2=:9"]),
        &OwnAddresses::of(&[]),
    )
    .unwrap_err();
    let ConfigError::ListenersOverlap { first, second } = &overlapping else {
        panic!("{overlapping}");
    };
    assert_eq!((&*first.value, &*second.value), (":2=:9", "127.0.0.1:2=:9"));

    for chain in [[":1=:2", ":2=:3"], [":2=:3", ":1=:2"]] {
        let error = check(&pairs(&chain), &OwnAddresses::of(&[])).unwrap_err();
        let ConfigError::Loop { upstream, listen } = &error else {
            panic!("{error}");
        };
        assert_eq!((&*upstream.value, &*listen.value), (":1=:2", ":2=:3"));
    }
}

#[test]
fn socket_files_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let file = file.display();

    for pair in [format!("unix:{file}=:1"), format!(":1=unix:{file}")] {
        let error = check(&pairs(&[&pair]), &OwnAddresses::of(&[])).unwrap_err();
        assert!(matches!(error, ConfigError::SocketFile { .. }), "{error}");
        let start = format!("--forward '{pair}': exists and is not a socket");
        assert!(error.to_string().starts_with(&start), "{error}");
    }
}
