use std::num::NonZeroUsize;
use std::time::Duration;

use clap::CommandFactory;

use super::*;
use crate::config::{AccessLog, Engine, LogFormat, LogLevel, Sched, SendProxy};

/// Parses `line` as after `portamento`; the environment of the tests has no `PORTAMENTO_*`.
fn parse(line: &str) -> Result<Config, String> {
    let words = line.split_whitespace();
    let args = Args::try_parse_from(["portamento"].into_iter().chain(words))
        .map_err(|error| error.to_string())?;
    Config::try_from(args.forwarder).map_err(|error| error.to_string())
}

fn forwards(line: &str) -> Vec<String> {
    let config = parse(line).unwrap();
    config.forwards.iter().map(ToString::to_string).collect()
}

#[test]
fn clap_finds_no_fault_with_the_flags() {
    Args::command().debug_assert();
}

#[test]
fn without_flags_everything_is_default() {
    let mut config = Config::for_pair(defaults::LISTEN, defaults::UPSTREAM);
    config.admin = defaults::ADMIN.0; // the library opens no port that nobody asked for
    assert_eq!(parse(""), Ok(config));
}

#[test]
fn each_flag_reaches_its_setting() {
    let mut config = Config::for_pair(":1".parse().unwrap(), "tempo:2".parse().unwrap());
    config.workers = NonZeroUsize::new(3);
    config.sched = Sched::Batch;
    config.relay.engine = Engine::Copy;
    config.relay.buffer_size = 8 << 10;
    config.relay.pipe_size = 1 << 17;
    config.relay.max_pipes = NonZeroUsize::new(4);
    config.timeouts.connect = Duration::from_millis(5);
    config.timeouts.connect_retry = Duration::from_secs(6);
    config.timeouts.idle = Some(Duration::from_secs(7));
    config.timeouts.half_close = None;
    config.timeouts.lifetime = Some(Duration::from_secs(8));
    config.timeouts.drain = Duration::ZERO;
    config.sockets.backlog = 9;
    config.sockets.keepalive = Some(Duration::from_secs(10));
    config.sockets.user_timeout = Some(Duration::from_secs(11));
    config.sockets.rcvbuf = Some(12 << 10);
    config.sockets.sndbuf = Some(13 << 10);
    config.sockets.reuse_port = true;
    config.max_connections = NonZeroUsize::new(14);
    config.max_connections_per_source = NonZeroUsize::new(15);
    config.max_accept_rate = NonZeroUsize::new(16);
    config.proxy_protocol.send = SendProxy::V2;
    config.proxy_protocol.accept = vec!["10.2.0.0/16".parse().unwrap()];
    config.access.allow = vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    config.access.deny = vec!["10.0.0.7/32".parse().unwrap()];
    config.admin = Some("[::1]:15".parse().unwrap());
    config.log.level = LogLevel::Debug;
    config.log.format = LogFormat::Json;
    config.log.access_log = AccessLog::All;
    let line = "-l :1 -u tempo:2 -w 3 --sched batch --engine copy --buffer-size 8KiB \
         --pipe-size 128KiB --max-pipes 4 --connect-timeout 5ms --connect-retry 6s \
         --idle-timeout 7s --half-close-timeout off --max-lifetime 8s --drain-timeout 0s \
         --backlog 9 --keepalive 10s --user-timeout 11s --rcvbuf 12KiB --sndbuf 13KiB \
         --reuse-port --max-connections 14 --max-connections-per-source 15 --max-accept-rate 16 \
         --allow 10.0.0.0/8 --allow ::1 --deny 10.0.0.7 --proxy-protocol v2 \
         --accept-proxy-protocol 10.2.0.0/16 --admin [::1]:15 --log-level debug --log-format json \
         --access-log all";
    assert_eq!(parse(line), Ok(config));
}

#[test]
fn check_takes_the_forwarders_flags_behind_its_name() {
    let args = Args::try_parse_from([
        "portamento",
        "check",
        "-l",
        ":1",
        "--ring",
        "http://tempo",
        "--instance-addr",
        "10.0.0.5,::1",
        "--json",
    ]);
    let Some(Command::Check(check)) = args.unwrap().command else {
        panic!("no check");
    };
    let config = Config::try_from(check.forwarder).unwrap();
    assert_eq!(config.forwards[0].listen.to_string(), ":1");
    assert_eq!(check.scope.ring, "http://tempo:80".parse().ok());
    assert_eq!(check.scope.instance_addr.len(), 2);
    assert!(check.scope.json);
    // A flag in front of the name would be lost.
    assert!(Args::try_parse_from(["portamento", "-l", ":1", "check"]).is_err());
}

#[test]
fn only_forwards_leave_out_the_default_pair() {
    for (line, expected) in [
        ("", &["0.0.0.0:12345=127.0.0.1:9095"][..]),
        ("--forward :1=:2", &[":1=localhost:2"]),
        (
            "--forward :1=:2 --forward :3=:4",
            &[":1=localhost:2", ":3=localhost:4"],
        ),
        (
            "--forward :1=:2,:3=:4",
            &[":1=localhost:2", ":3=localhost:4"],
        ),
        (
            "--forward :1=:2 -l :3",
            &[":3=127.0.0.1:9095", ":1=localhost:2"],
        ),
        (
            "--forward :1=:2 -u :3",
            &["0.0.0.0:12345=localhost:3", ":1=localhost:2"],
        ),
        (
            "-l 0.0.0.0:12345 --forward :1=:2",
            &["0.0.0.0:12345=127.0.0.1:9095", ":1=localhost:2"],
        ),
    ] {
        assert_eq!(forwards(line), expected, "{line}");
    }
}

#[test]
fn clashes_name_the_flags() {
    for (line, start) in [
        ("-l :9095", "--upstream '127.0.0.1:9095': leads back"),
        ("--forward :1=:1", "--forward ':1=localhost:1': leads back"),
        (
            "-l :1 -u :2 --forward 127.0.0.1:1=:3",
            "--listen ':1' and --forward '127.0.0.1:1=localhost:3': their listeners overlap",
        ),
        (
            "-l unix:/none/x",
            "--listen 'unix:/none/x': the directory /none cannot be used",
        ),
        (
            "-u unix:/proc",
            "--upstream 'unix:/proc': exists and is not a socket",
        ),
    ] {
        let error = parse(line).unwrap_err();
        assert!(error.starts_with(start), "{line}: {error}");
    }
}

#[test]
fn a_congestion_control_is_one_that_the_kernel_has() {
    let Ok(available) =
        std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control")
    else {
        return; // a kernel that does not tell refuses nothing
    };
    let error = parse("--congestion nonesuch").unwrap_err();
    assert!(
        error.starts_with("--congestion 'nonesuch': not offered"),
        "{error}"
    );
    assert!(error.ends_with(available.trim()), "{error}");

    // The one in use is always among the allowed.
    let current = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap();
    let config = parse(&format!("--congestion {}", current.trim())).unwrap();
    assert_eq!(config.sockets.congestion.as_deref(), Some(current.trim()));
}

#[test]
fn the_ends_of_every_range_are_taken_and_no_more() {
    for (flag, inside, outside) in [
        ("workers", ["1", "256"], ["0", "257"]),
        ("buffer-size", ["4KiB", "16MiB"], ["4095", "16777217"]),
        ("pipe-size", ["64KiB", "64MiB"], ["65535", "67108865"]),
        ("max-pipes", ["1", "1000000000"], ["0", "1000000001"]),
        ("connect-timeout", ["1ms", "1h"], ["0s", "3601s"]),
        ("connect-retry", ["0s", "1h"], ["off", "3601s"]),
        ("idle-timeout", ["1ms", "365d"], ["0s", "366d"]),
        ("half-close-timeout", ["1ms", "365d"], ["0s", "366d"]),
        ("max-lifetime", ["1ms", "365d"], ["0s", "366d"]),
        ("drain-timeout", ["0s", "1d"], ["off", "25h"]),
        ("backlog", ["1", "65535"], ["0", "65536"]),
        ("keepalive", ["1s", "32767s"], ["999ms", "32768s"]),
        (
            "user-timeout",
            ["1ms", "2147483647ms"],
            ["0s", "2147483648ms"],
        ),
        ("rcvbuf", ["4KiB", "1GiB"], ["4095", "1073741825"]),
        ("sndbuf", ["4KiB", "1GiB"], ["4095", "1073741825"]),
        ("max-connections", ["1", "1000000000"], ["0", "1000000001"]),
        (
            "max-connections-per-source",
            ["1", "1000000"],
            ["0", "1000001"],
        ),
        ("max-accept-rate", ["1", "1000000"], ["0", "1000001"]),
    ] {
        for value in inside {
            let result = parse(&format!("--{flag} {value}"));
            assert!(result.is_ok(), "--{flag} {value}: {result:?}");
        }
        for value in outside {
            let error = parse(&format!("--{flag} {value}")).unwrap_err();
            let named = error.contains(&format!("invalid value '{value}' for '--{flag} <"));
            assert!(named, "--{flag} {value}: {error}");
        }
    }
}

/// The table of the design, as far as it is built; flags without a fixed default say where theirs
/// comes from.
const TABLE: &[(&str, &str)] = &[
    (
        "listen",
        "[default: 0.0.0.0:12345, or none where only --forward is given]",
    ),
    (
        "upstream",
        "[default: 127.0.0.1:9095, or none where only --forward is given]",
    ),
    ("forward", "[default: none]"),
    ("workers", "auto"),
    ("engine", "auto"),
    ("sched", "normal"),
    ("buffer-size", "64KiB"),
    ("pipe-size", "1MiB"),
    ("max-pipes", "[default: by worker]"),
    ("resolve-timeout", "10s"),
    ("connect-timeout", "5s"),
    ("connect-retry", "0s"),
    ("idle-timeout", "off"),
    ("half-close-timeout", "30s"),
    ("max-lifetime", "off"),
    ("drain-timeout", "25s"),
    ("max-connections", "[default: from the fd limit]"),
    ("max-connections-per-source", "off"),
    ("max-accept-rate", "off"),
    ("allow", "[default: all]"),
    ("deny", "[default: none]"),
    ("proxy-protocol", "off"),
    ("accept-proxy-protocol", "[default: off]"),
    ("backlog", "1024"),
    ("keepalive", "30s"),
    ("user-timeout", "off"),
    ("rcvbuf", "[default: kernel's choice]"),
    ("sndbuf", "[default: kernel's choice]"),
    ("congestion", "[default: kernel's choice]"),
    ("reuse-port", "[default: off]"),
    ("admin", "127.0.0.1:9464"),
    ("log-level", "info"),
    ("log-format", "logfmt"),
    ("access-log", "errors"),
];

/// The flags that `check` takes beside those of the forwarder.
const CHECK_TABLE: &[(&str, &str)] = &[
    ("ring", "[default: not asked]"),
    (
        "instance-addr",
        "[default: $POD_IP, else every address of this host]",
    ),
    ("json", "[default: off]"),
];

#[test]
fn every_flag_has_its_help_its_default_and_its_variable() {
    let mut command = Args::command();
    command.build();
    hold_against(&command, TABLE);
    let check = command.find_subcommand("check").unwrap();
    hold_against(check, &[TABLE, CHECK_TABLE].concat());
}

fn hold_against(command: &clap::Command, table: &[(&str, &str)]) {
    let flags: Vec<_> = command
        .get_arguments()
        .filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()))
        .collect();
    let names: Vec<_> = flags.iter().filter_map(|arg| arg.get_long()).collect();
    assert_eq!(names, table.iter().map(|row| row.0).collect::<Vec<_>>());

    for (arg, (name, default)) in flags.iter().zip(table) {
        let variable = format!("PORTAMENTO_{}", name.to_uppercase().replace('-', "_"));
        assert_eq!(arg.get_env(), Some(variable.as_ref()), "{name}");
        assert!(arg.get_help_heading().is_some(), "{name}");

        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.len() > 10, "{name}: {help}");
        if default.starts_with('[') {
            assert!(help.ends_with(default), "{name}: {help}");
        } else {
            assert_eq!(arg.get_default_values(), [*default], "{name}");
        }
    }
}

#[test]
fn the_help_of_listen_and_upstream_tells_the_true_default() {
    assert_eq!(defaults::LISTEN.to_string(), "0.0.0.0:12345");
    assert_eq!(defaults::UPSTREAM.to_string(), "127.0.0.1:9095");
}
