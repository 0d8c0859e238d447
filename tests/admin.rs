//! The admin endpoint: what it tells, to whom, and that nobody who watches is in the way.

#![allow(
    clippy::unwrap_used,
    reason = "a test that can't go on should say so and end"
)]

mod support;

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, TcpListener},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use portamento::config::Engine;
use rustix::pipe::{PipeFlags, pipe_with};
use serde_json::Value;
use support::{
    BINARY, Echo, Link, Origin, Pattern, Process, Rig, Scrape, SetOnDrop, Unread, ask, connect,
    connections, echoed, eventually, eventually_some, exchange, for_each_engine, get, installed,
    listening_ports, loris, skip,
};

/// Each with its type and labels, as DESIGN and the README have them.
const SERIES: [&str; 35] = [
    "portamento_build_info{version=\"0.1.0\",revision=\"unknown\"}",
    "portamento_connections_accepted_total",
    "portamento_connections_active",
    "portamento_connections_closed_total{by=\"client\",reason=\"fin\"}",
    "portamento_connections_closed_total{by=\"proxy\",reason=\"drain\"}",
    "portamento_connections_closed_total{by=\"upstream\",reason=\"refused\"}",
    "portamento_connections_rejected_total{reason=\"limit\"}",
    "portamento_connections_rejected_total{reason=\"source_limit\"}",
    "portamento_connections_rejected_total{reason=\"acl\"}",
    "portamento_connections_rejected_total{reason=\"proxy_header\"}",
    "portamento_accept_errors_total{errno=\"EMFILE\"}",
    "portamento_connection_duration_seconds_count",
    "portamento_upstream_connects_total{result=\"ok\"}",
    "portamento_upstream_connects_total{result=\"refused\"}",
    "portamento_upstream_connect_duration_seconds_count",
    "portamento_bytes_total{direction=\"to_upstream\",path=\"copy\"}",
    "portamento_bytes_total{direction=\"to_client\",path=\"splice\"}",
    "portamento_undelivered_bytes_total{direction=\"to_upstream\"}",
    "portamento_undelivered_bytes_total{direction=\"to_client\"}",
    "portamento_splice_fallbacks_total{reason=\"limit\"}",
    "portamento_splice_fallbacks_total{reason=\"small\"}",
    "portamento_pipes{state=\"leased\"}",
    "portamento_pipes{state=\"free\"}",
    "portamento_pipe_size_bytes",
    "portamento_forward_delay_seconds_count",
    "portamento_worker_connections{worker=\"0\"}",
    "portamento_worker_connections{worker=\"1\"}",
    "portamento_worker_stall_seconds_max",
    "portamento_log_drops_total",
    "portamento_draining",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
];

#[test]
fn every_series_is_there_before_the_first_connection() {
    let rig = Rig::new(Engine::Auto);
    let scrape = Scrape::of(rig.forwarder.admin());
    for series in SERIES {
        scrape.value(series); // or it panics
    }
    assert_eq!(scrape.sum("portamento_connections_closed_total"), 0.0);
    assert!(scrape.value("process_start_time_seconds") > 1.6e9);
    assert!(scrape.value("process_resident_memory_bytes") > 1e6);
    assert!(scrape.value("process_open_fds") > 5.0);
    assert!(scrape.value("portamento_pipe_size_bytes") > 0.0);
}

#[test]
fn the_sums_are_the_bytes_that_the_peers_counted() {
    for_each_engine(|engine| {
        let rig = Rig::new(engine);
        let (up, down) = (3_000_017, 5_000_011);
        let pattern = Pattern::new(engine as u64);
        let link = rig.link();
        pattern.pass(&link.client, &link.server, 0..up);
        pattern.pass(&link.server, &link.client, 0..down);
        drop(link);
        rig.forwarder.settled();
        let scrape = Scrape::of(rig.forwarder.admin());
        let by = |direction, path| {
            let labels = format!("{{direction=\"{direction}\",path=\"{path}\"}}");
            scrape.value(&format!("portamento_bytes_total{labels}"))
        };
        assert_eq!(
            by("to_upstream", "copy") + by("to_upstream", "splice"),
            up as f64
        );
        assert_eq!(
            by("to_client", "copy") + by("to_client", "splice"),
            down as f64
        );
        match engine {
            Engine::Copy => assert_eq!(by("to_client", "splice"), 0.0),
            Engine::Splice => assert_eq!(by("to_client", "copy"), 0.0),
            Engine::Auto => assert!(by("to_client", "splice") > 0.0),
        }
        assert_eq!(scrape.value("portamento_connections_accepted_total"), 1.0);
        assert_eq!(scrape.value("portamento_connections_active"), 0.0);
        assert_eq!(scrape.sum("portamento_connections_closed_total"), 1.0);
        assert_eq!(
            scrape.value("portamento_upstream_connects_total{result=\"ok\"}"),
            1.0
        );
        assert_eq!(
            scrape.value("portamento_upstream_connect_duration_seconds_count"),
            1.0
        );
        assert_eq!(
            scrape.value("portamento_connection_duration_seconds_count"),
            1.0
        );
    });
}

#[test]
fn little_traffic_is_sampled_for_its_delay() {
    let rig = Rig::new(Engine::Auto);
    let link = rig.link();
    eventually("a delay was seen", || {
        link.round_trip();
        let scrape = Scrape::of(rig.forwarder.admin());
        scrape.value("portamento_forward_delay_seconds_count") > 0.0
    });
}

#[test]
fn promtool_finds_nothing_to_complain_about_under_load() {
    if !installed("promtool") {
        return;
    }
    let echo = Echo::start();
    let process = Process::start(echo.addr(), &[]);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _over = SetOnDrop(&over);
        for size in [64, 64 << 10] {
            let client = echoed(process.addr());
            let (message, over) = (vec![7; size], &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    exchange(&client, &client, &message);
                }
            });
        }
        let bytes = |scrape: &Scrape| scrape.sum("portamento_bytes_total");
        let mut before = 0.0;
        for _ in 0..3 {
            let scrape = eventually_some("more bytes are counted", || {
                Some(Scrape::of(process.admin())).filter(|scrape| bytes(scrape) > before)
            });
            before = bytes(&scrape);
            assert_eq!(complaints_of_promtool(&scrape.0), "");
        }
    });
}

/// What promtool has to say of a scrape.
fn complaints_of_promtool(scrape: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(scrape.as_bytes()).unwrap();
    drop(stdin);
    let output = promtool.wait_with_output().unwrap();
    let mut said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    if !output.status.success() {
        said += &output.status.to_string();
    }
    said
}

#[test]
fn connections_shows_a_transfer_while_it_lasts() {
    for_each_engine(|engine| {
        let rig = Rig::new(engine);
        let link = rig.link();
        let pattern = Pattern::new(7);
        pattern.pass(&link.server, &link.client, 0..1_000_000);
        let admin = rig.forwarder.admin();
        let row = eventually_some("its bytes are counted", || {
            let row = connections(admin, "")["connections"][0].clone();
            (row["bytes_to_client"] == 1_000_000).then_some(row)
        });
        assert_eq!(row["client"], link.client.local_addr().unwrap().to_string());
        assert_eq!(row["upstream"], rig.origin.addr().to_string());
        assert_eq!(row["state"], "open");
        assert_eq!(row["bytes_to_upstream"], 0);
        assert!(row["age_seconds"].as_f64().unwrap() > 0.0);
        assert!(row["connect_ms"].as_f64().unwrap() > 0.0);
        for side in ["client_tcp", "upstream_tcp"] {
            assert!(row[side]["rtt_ms"].as_f64().unwrap() > 0.0, "{row}");
            assert!(
                row[side]["congestion_window_segments"].as_u64().unwrap() > 0,
                "{row}"
            );
        }
        assert!(
            row["client_tcp"]["delivery_rate_bytes_per_second"]
                .as_u64()
                .unwrap()
                > 0
        );
        let path = row["path"].as_str().unwrap();
        match engine {
            Engine::Copy => assert_eq!(path, "copy"),
            Engine::Splice => assert_eq!(path, "splice"),
            Engine::Auto => assert_eq!(path, "both"),
        }
        drop(link);
        rig.forwarder.settled();
        assert_eq!(connections(admin, "")["connections"], Value::Array(vec![]));
    });
}

#[test]
fn a_half_closed_connection_is_shown_as_one() {
    let rig = Rig::new(Engine::Auto);
    let link = rig.link();
    link.client.shutdown(std::net::Shutdown::Write).unwrap();
    eventually("it is half-closed", || {
        connections(rig.forwarder.admin(), "")["connections"][0]["state"] == "half_closed"
    });
}

#[test]
fn pages_of_connections_show_each_exactly_once() {
    let rig = Rig::new(Engine::Auto);
    let links: Vec<_> = (0..130).map(|_| rig.link()).collect();
    let admin = rig.forwarder.admin();
    for limit in [1, 7, 60, 1000] {
        let (mut seen, mut query) = (Vec::new(), format!("?limit={limit}"));
        loop {
            let page = connections(admin, &query);
            let rows = page["connections"].as_array().unwrap();
            assert!(rows.len() <= limit);
            seen.extend(
                rows.iter()
                    .map(|row| row["client"].as_str().unwrap().to_owned()),
            );
            match page["next"].as_str() {
                Some(next) => query = format!("?limit={limit}&after={next}"),
                None => break,
            }
        }
        seen.sort();
        let mut clients: Vec<_> = links
            .iter()
            .map(|link| link.client.local_addr().unwrap().to_string())
            .collect();
        clients.sort();
        assert_eq!(seen, clients, "limit {limit}");
    }
}

#[test]
fn only_get_and_head_are_answered() {
    let rig = Rig::new(Engine::Auto);
    let admin = rig.forwarder.admin();
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = ask(admin, method, "/metrics");
        assert_eq!(answer.status, 405);
        assert!(answer.head.contains("allow: get, head"), "{}", answer.head);
    }
    let head = ask(admin, "HEAD", "/metrics");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(get(admin, "/").status, 200);
    assert_eq!(get(admin, "/metricz").status, 404);
    for query in ["limit=0", "after=x", "sort=age"] {
        assert_eq!(get(admin, &format!("/connections?{query}")).status, 400);
    }
}

#[test]
fn whoever_holds_admin_connections_open_keeps_nobody_out() {
    let echo = Echo::start();
    let process = Process::start(echo.addr(), &[]);
    let files = process.files();
    let mut loris: Vec<_> = (0..200).map(|_| loris(process.admin())).collect();
    assert_eq!(get(process.admin(), "/live").status, 200);
    assert!(process.files() <= files + 40, "{} files", process.files());
    let mut client = echoed(process.addr());
    client.write_all(b"!").unwrap();
    client.read_exact(&mut [0]).unwrap();
    // The rest is cut when its time is over.
    for stream in &mut loris {
        let end = stream.read(&mut [0; 1024]);
        assert!(
            end.as_ref().is_ok_and(|count| *count == 0 || *count > 10)
                || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
        );
    }
    drop((client, loris));
    eventually("nothing is left", || process.files() <= files);
}

#[test]
fn a_request_that_is_too_large_is_refused() {
    let rig = Rig::new(Engine::Auto);
    let admin = rig.forwarder.admin();
    let path = format!("/{}", "x".repeat(20_000));
    let mut stream = connect(admin);
    drop(write!(stream, "GET {path} HTTP/1.1\r\n\r\n"));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(get(admin, "/live").status, 200);
}

#[test]
fn an_admin_address_in_use_is_an_error_that_names_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let output = Command::new(BINARY)
        .args(["--listen", "127.0.0.1:0", "--admin", &addr])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with(&format!("error: --admin '{addr}': ")),
        "{said}"
    );
}

#[test]
fn an_admin_port_without_an_address_is_one_of_both_families() {
    let echo = Echo::start();
    let mut command = Command::new(BINARY);
    command.args(["--listen", "127.0.0.1:0", "--upstream"]);
    command.arg(echo.addr().to_string());
    let process = Process::launch_with_admin(&mut command, ":0");
    let port = process.admin().port();
    assert_eq!(get((Ipv4Addr::LOCALHOST, port).into(), "/live").status, 200);
    match TcpListener::bind("[::1]:0") {
        Ok(_) => assert_eq!(get((Ipv6Addr::LOCALHOST, port).into(), "/live").status, 200),
        Err(error) => skip(&format!("no IPv6 here: {error}")),
    }
}

#[test]
fn without_an_admin_endpoint_nothing_listens_for_one() {
    let echo = Echo::start();
    let process = Process::start(echo.addr(), &["--admin", "off"]);
    assert_eq!(process.count("admin endpoint"), 0);
    assert_eq!(listening_ports(process.pid()), [process.addr().port()]);
}

#[test]
fn a_full_pipe_keeps_no_process_that_failed_from_ending() {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
    while rustix::io::write(&writer, &[b'x'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap(); // as a pipe mostly is
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = Command::new(BINARY)
        .args(["--admin", "off", "--listen"])
        .arg(taken.local_addr().unwrap().to_string())
        .stderr(writer)
        .spawn()
        .unwrap();
    let ended = eventually_some("the process ends", || child.try_wait().unwrap());
    assert_eq!(ended.code(), Some(1));
    drop(reader);
}

#[test]
fn a_full_pipe_behind_the_log_delays_nobody_and_is_counted() {
    let origin = Origin::bind();
    let forwarder = Unread::start(origin.addr());
    forwarder.fill_log(&origin);
    Link::open(forwarder.addr, &origin).round_trip();
    // Nor does it keep the process from ending.
    assert_eq!(forwarder.end().code(), Some(0));
}
