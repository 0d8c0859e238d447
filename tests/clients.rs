//! Other people's programs through the forwarder, as they are.

#![allow(
    clippy::unwrap_used,
    reason = "a test that can't go on should say so and end"
)]

mod support;

use std::{cell::RefCell, fs, net::TcpListener, process::Command};

use support::{BINARY, ENGINES, Foreign, Process, eventually, installed};

/// Runs a client to its end and returns what it printed.
fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {args:?}: {printed}{complained}"
    );
    printed
}

/// A forwarder for each engine in front of a server.
fn forwarders(server: &Foreign) -> impl Iterator<Item = Process> {
    let upstream = server.addr;
    ENGINES
        .into_iter()
        .map(move |engine| Process::start(upstream, &["--engine", &engine.to_string()]))
}

fn iperf3() -> Option<Foreign> {
    Foreign::start("iperf3", |port| {
        vec!["-s".into(), "-p".into(), port.to_string()]
    })
}

/// A server that is there on every machine: the forwarder itself, below a shell.
fn server_that(shell: &str, ports: impl Fn(u16)) -> Foreign {
    let script = format!("{shell}; exec \"$0\" --admin off --listen \"127.0.0.1:$1\"");
    let args = |port: u16| {
        ports(port);
        ["-c", &script, BINARY, &port.to_string()]
            .map(String::from)
            .into()
    };
    Foreign::start("sh", args).expect("there is a shell")
}

#[test]
fn a_server_whose_port_was_taken_meanwhile_is_started_on_another() {
    let taken = RefCell::new(None);
    let server = server_that(":", |port| {
        let bind = || TcpListener::bind(("127.0.0.1", port)).unwrap();
        taken.borrow_mut().get_or_insert_with(bind); // the first one is
    });
    let taken = taken.take().unwrap().local_addr().unwrap();
    assert_ne!(server.addr, taken);
}

#[test]
fn a_server_takes_its_workers_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("worker");
    let path = file.display();
    let server = server_that(&format!("sleep 600 & echo $! >'{path}'"), |_| ());
    let worker = fs::read_to_string(&file).unwrap();
    let stat = format!("/proc/{}/stat", worker.trim());
    // One that has ended stays until somebody asks how.
    let lives = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(lives());
    drop(server);
    eventually("the worker has ended", || !lives());
}

#[test]
fn iperf3_with_eight_streams_both_ways() {
    for engine in ENGINES {
        for direction in [&[][..], &["-R"][..]] {
            // One for each run: whoever comes while it still ends the run before is turned away.
            let Some(server) = iperf3() else { return };
            let forwarder = Process::start(server.addr, &["--engine", &engine.to_string()]);
            let port = forwarder.addr().port().to_string();
            let args = [
                "-c",
                "127.0.0.1",
                "-p",
                &port,
                "-P",
                "8",
                "-n",
                "256M",
                "-J",
            ];
            let report = run("iperf3", &[&args[..], direction].concat());
            assert!(!report.contains("\"error\""), "{report}");
        }
    }
}

#[test]
fn h2load_and_curl_with_http2_from_nghttpd() {
    let files = tempfile::tempdir().unwrap();
    fs::write(files.path().join("small"), [b's'; 1024]).unwrap();
    fs::write(files.path().join("large"), vec![b'l'; 1 << 20]).unwrap();
    let directory = files.path().display().to_string();
    let Some(server) = Foreign::start("nghttpd", |port| {
        vec![
            "--no-tls".into(),
            "-d".into(),
            directory.clone(),
            port.to_string(),
        ]
    }) else {
        return;
    };
    let (h2load, curl) = (installed("h2load"), installed("curl"));
    for forwarder in forwarders(&server) {
        let url = |file| format!("http://{}/{file}", forwarder.addr());
        if h2load {
            for (file, requests) in [("small", "5000"), ("large", "200")] {
                let args = ["-n", requests, "-c", "8", "-m", "10", "-t", "1", &url(file)];
                let report = run("h2load", &args);
                assert!(report.contains(&format!("{requests} succeeded, 0 failed, 0 errored")));
            }
        }
        if curl {
            let fetched = run("curl", &["-sS", "--http2-prior-knowledge", &url("large")]);
            assert!(fetched.bytes().all(|byte| byte == b'l') && fetched.len() == 1 << 20);
        }
    }
}

#[test]
fn redis_and_its_benchmark() {
    if !["redis-cli", "redis-benchmark"].iter().all(installed) {
        return;
    }
    let Some(server) = Foreign::start("redis-server", |port| {
        [
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        .map(String::from)
        .into()
    }) else {
        return;
    };
    for forwarder in forwarders(&server) {
        let port = forwarder.addr().port().to_string();
        run("redis-cli", &["-p", &port, "set", "key", "value"]);
        assert_eq!(
            run("redis-cli", &["-p", &port, "get", "key"]).trim(),
            "value"
        );
        let load = [
            "-p", &port, "-q", "-n", "5000", "-P", "16", "-d", "2000", "-t", "set,get",
        ];
        let report = run("redis-benchmark", &load);
        assert!(report.contains("GET: "), "{report}");
    }
}
