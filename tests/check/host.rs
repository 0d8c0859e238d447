use std::{
    fs,
    net::TcpListener,
    os::unix::{net::UnixListener, process::CommandExt},
    process::Command,
};

use rustix::process::getuid;

use super::{
    Found, command,
    support::{BINARY, Echo, Nobody, Process, binary_for_anybody, skip},
    text,
};

/// A user whose pipes no other test holds.
const OTHER: u32 = 65_533;

/// Checks a listen address in front of an upstream that answers.
fn check(listen: &str, more: &[&str]) -> Found {
    let echo = Echo::start();
    let upstream = echo.addr().to_string();
    Found::by(&[&["--listen", listen, "--upstream", &upstream], more].concat())
}

#[test]
fn a_host_as_it_should_be_has_no_error() {
    let echo = Echo::start();
    let found = check("127.0.0.1:0", &["--admin", "127.0.0.1:0"]);
    assert_eq!(found.code, Some(0), "{:#}", found.report);
    for id in [
        "flags",
        "listen",
        "admin",
        "open-files",
        "backlog",
        "workers",
        "sched",
    ] {
        assert_eq!(found.all(id).len(), 1, "{id}");
    }
    found.has("flags", "ok", &["forwards=127.0.0.1:0=", "engine=auto"]);
    found.has(
        "splice",
        "ok",
        &["from socket to socket through a pipe of", "asked for 1MiB"],
    );
    drop(echo);
}

#[test]
fn text_is_one_aligned_line_for_each_finding() {
    let echo = Echo::start();
    let upstream = echo.addr().to_string();
    let output = command(&["-l", "127.0.0.1:0", "-u", &upstream])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = text(&output);
    let columns: Vec<_> = text
        .lines()
        .map(|line| {
            let (level, rest) = line.split_at(9);
            assert!(["ok", "warning", "error"].contains(&level.trim()), "{line}");
            let id = rest.split(' ').next().unwrap();
            let message = rest[id.len()..].trim_start();
            line.len() - message.len()
        })
        .collect();
    assert!(columns.len() > 10, "{text}");
    assert!(columns.iter().all(|column| *column == columns[0]), "{text}");
}

#[test]
fn a_port_that_another_program_has_is_an_error_and_names_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let found = check(&addr, &[]);
    let pid = format!("(pid {})", std::process::id());
    found.has("listen", "error", &[&addr, &pid, "give another --listen"]);
    let found = check("127.0.0.1:0", &["--admin", &addr]);
    found.has("admin", "error", &[&addr, &pid, "give another --admin"]);
}

#[test]
fn a_running_forwarder_keeps_its_port_and_shares_it_where_told_to() {
    let echo = Echo::start();
    let process = Process::start(echo.addr(), &["--reuse-port"]);
    let addr = process.addr().to_string();
    check(&addr, &[]).has("listen", "ok", &["portamento (pid", "already"]);
    check(&addr, &["--reuse-port"]).has("listen", "ok", &["can be bound"]);
}

#[test]
fn a_port_that_is_bound_and_not_listened_on_is_an_error() {
    // Without SO_REUSEADDR, as an outgoing connection has it.
    let nobody = Nobody::new();
    let addr = nobody.addr().to_string();
    check(&addr, &[]).has(
        "listen",
        "error",
        &[&addr, "does not answer (connection refused)"],
    );
}

#[test]
fn an_address_of_another_host_can_not_be_bound() {
    check("192.0.2.77:12345", &[]).has("listen", "error", &["no interface of this host"]);
}

#[test]
fn a_port_among_the_ephemeral_ones_is_a_warning() {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let low: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
    let found = check(&format!("127.0.0.1:{}", low + 7), &[]);
    found.has(
        "ephemeral-port",
        "warning",
        &["ip_local_reserved_ports", &(low + 7).to_string()],
    );
    let found = check(&format!("127.0.0.1:{}", low - 1), &[]);
    found.has("ephemeral-port", "ok", &["outside"]);
}

#[test]
fn an_upstream_among_the_ephemeral_ports_of_this_host_is_a_warning() {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let low: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
    let of = |upstream: String| Found::by(&["-l", "127.0.0.1:0", "-u", &upstream]);
    for host in ["127.0.0.1", "localhost"] {
        let port = low + 7;
        let words = ["ip_local_reserved_ports", "meet itself", &port.to_string()];
        of(format!("{host}:{port}")).has("upstream-port", "warning", &words);
        of(format!("{host}:{}", low - 1)).has("upstream-port", "ok", &["outside"]);
    }
    let elsewhere = Found::by(&[
        "-l",
        "127.0.0.1:0",
        "-u",
        &format!("192.0.2.1:{}", low + 7),
        "--connect-timeout",
        "1ms",
    ]);
    assert!(elsewhere.all("upstream-port").is_empty());
}

#[test]
fn the_file_of_a_unix_listener_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("listen.sock");
    let listen = format!("unix:{}", path.display());
    check(&listen, &[]).has("listen", "ok", &["can be bound"]);
    assert!(!path.exists());
    let listener = UnixListener::bind(&path).unwrap();
    let pid = format!("(pid {})", std::process::id());
    check(&listen, &[]).has("listen", "error", &[&pid, "listens there"]);
    drop(listener);
    check(&listen, &[]).has("listen", "ok", &["can be bound"]);
    assert!(path.exists());

    let echo = Echo::start();
    let mut running = Command::new(BINARY);
    running.args([
        "--listen",
        &listen,
        "--admin",
        "off",
        "--upstream",
        &echo.addr().to_string(),
    ]);
    let _running = Process::launch(&mut running);
    check(&listen, &[]).has("listen", "ok", &["portamento (pid", "already"]);
}

#[test]
fn too_few_open_files_are_said() {
    for (limit, args, level, words) in [
        (
            "300",
            &["--max-connections", "500"][..],
            "warning",
            "not the 500 of --max-connections",
        ),
        ("65", &[], "error", "too low for a single connection"),
    ] {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "ulimit -n $0; exec \"$@\"",
            limit,
            BINARY,
            "check",
            "-l",
            "127.0.0.1:0",
        ]);
        command.args(args);
        let found = Found::of(command);
        found.has("open-files", level, &[&format!("is {limit}"), words]);
    }
}

#[test]
fn more_workers_than_cpus_are_a_warning() {
    check("127.0.0.1:0", &["--workers", "256"]).has(
        "workers",
        "warning",
        &["workers: 256", "lower --workers"],
    );
}

#[test]
fn a_backlog_beyond_the_kernels_is_a_warning() {
    let somaxconn = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    if somaxconn.trim().parse::<u32>().unwrap() >= 65_535 {
        return skip("net.core.somaxconn takes any --backlog");
    }
    let found = check("127.0.0.1:0", &["--backlog", "65535"]);
    found.has(
        "backlog",
        "warning",
        &["net.core.somaxconn", somaxconn.trim()],
    );
}

#[test]
fn what_is_not_wanted_is_not_asked_for() {
    let found = check("127.0.0.1:0", &["--engine", "copy"]);
    found.has("splice", "ok", &["needs no pipes"]);
    assert!(found.all("pipe-limits").is_empty());
    found.has("sched", "ok", &["--sched normal needs nothing"]);
}

#[test]
fn a_class_that_is_wanted_is_tried() {
    let found = check("127.0.0.1:0", &["--sched", "batch"]);
    found.has(
        "sched",
        "ok",
        &["SCHED_BATCH can be had", "no other process"],
    );
}

#[test]
fn an_unprivileged_user_hears_of_the_limits_on_pipes() {
    if !getuid().is_root() {
        return skip("only root can be somebody else");
    }
    let (_dir, binary) = binary_for_anybody();
    let as_nobody = |args: &[&str]| {
        let mut command = Command::new(&binary);
        command.uid(OTHER).gid(OTHER).arg("check").args(args);
        Found::of(command)
    };
    let found = as_nobody(&["--pipe-size", "2MiB"]);
    found.has(
        "pipe-limits",
        "warning",
        &["fs.pipe-max-size", "--pipe-size 1MiB"],
    );
    found.has("splice", "ok", &["a pipe of 1MiB", "asked for 2MiB"]);
    let found = as_nobody(&["--max-pipes", "65"]);
    found.has(
        "pipe-limits",
        "warning",
        &["room for 64 of 65 pipes", "lower --max-pipes"],
    );
    found.has("splice", "ok", &["a pipe of 1MiB"]);
    let found = as_nobody(&["--max-pipes", "64"]);
    found.has("pipe-limits", "ok", &["64 pipes of 1MiB"]);

    let found = as_nobody(&["--listen", "unix:/listen.sock", "--admin", "off"]);
    found.has("listen", "error", &["no file can be made in /"]);
    // Whose port it is, only root sees.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    as_nobody(&["--admin", &addr]).has("admin", "warning", &["cannot be seen from here"]);
}
