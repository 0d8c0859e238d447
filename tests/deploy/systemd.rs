//! The units, run by a real systemd and judged by its own tools.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use super::{
    machine::Machine,
    queriers::{assert_forwards_grpc, standin},
    status_value,
    support::{BINARY, Scrape, eventually, get, installed},
};

const UNITS: [&str; 3] = [
    "portamento.service",
    "portamento@.service",
    "portamento.socket",
];

const ADMIN: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);

fn unit(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd");
    fs::read_to_string(Path::new(folder).join(name)).unwrap()
}

/// Copies the units, with the binary under test in the place of one that is not installed here.
fn usable_units() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in UNITS {
        let text = unit(name).replace("/usr/local/bin/portamento", BINARY);
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if !installed("systemd-analyze") {
        return;
    }
    let folder = usable_units();
    for name in UNITS {
        let output = Command::new("systemd-analyze")
            .arg("verify")
            .arg(folder.path().join(name.replace('@', "@a")))
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        assert!(output.stderr.is_empty(), "{name}: {output:?}");
    }
}

#[test]
fn the_units_are_as_little_exposed_as_the_page_says() {
    if !installed("systemd-analyze") {
        return;
    }
    let folder = usable_units();
    for name in ["portamento.service", "portamento@.service"] {
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager"])
            .arg(folder.path().join(name))
            .output()
            .unwrap();
        let report = String::from_utf8(output.stdout).unwrap();
        let exposure: f64 = report
            .lines()
            .find_map(|line| line.split_once("Overall exposure level for "))
            .and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok())
            .unwrap_or_else(|| panic!("no level in {report}"));
        assert!(exposure <= documented_exposure(), "{report}");
    }
}

/// What docs/OPERATIONS.md says: "an exposure of N".
fn documented_exposure() -> f64 {
    let page = super::operations::page();
    let (_, rest) = page.split_once("an exposure of **").unwrap();
    rest.split_once("**").unwrap().0.parse().unwrap()
}

#[test]
fn the_units_name_no_flag_that_does_not_exist() {
    let help = Command::new(BINARY).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let known: BTreeSet<_> = help
        .split_whitespace()
        .filter(|word| word.starts_with("--"))
        .collect();
    assert!(known.contains("--listen"));
    for name in ["portamento.service", "portamento@.service"] {
        let text = unit(name);
        let commands = text
            .lines()
            .filter_map(|line| line.strip_prefix("ExecStart="));
        let flags: Vec<_> = commands
            .flat_map(str::split_whitespace)
            .filter(|word| word.starts_with('-'))
            .collect();
        assert!(flags.len() >= 2, "{name}");
        for flag in flags {
            assert!(known.contains(flag), "{name} has {flag}");
        }
    }
}

#[test]
fn both_services_are_hardened_alike() {
    let hardening = |name| {
        let text = unit(name);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter(|line| !line.starts_with("ExecStart=") && !line.starts_with("Description="))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        hardening("portamento.service"),
        hardening("portamento@.service")
    );
}

#[test]
fn the_service_forwards_grpc_with_all_its_hardening() {
    if !installed("chrt") {
        return;
    }
    let Some(machine) = Machine::with(&["portamento.service"]) else {
        return;
    };
    // With all that a flag may ask of the system.
    machine.run("sed -i 's/--upstream/--sched batch &/' /etc/systemd/system/portamento.service");
    machine.run("systemctl daemon-reload");
    machine.run("systemctl start portamento"); // it is ready when this returns
    let spliced = "portamento_bytes_total{direction=\"to_client\",path=\"splice\"}";
    let scrape = machine.inside(|| {
        let _standin = standin();
        // Nothing is lost to a filter: not the pipes, which take a burst to be used,
        eventually("it splices", || {
            assert_forwards_grpc();
            Scrape::of(ADMIN).value(spliced) > 0.0
        });
        eventually("it is ready", || get(ADMIN, "/ready").status == 200);
        Scrape::of(ADMIN)
    });
    // not SCHED_BATCH, and not what it says of itself.
    assert_eq!(scrape.sum("portamento_splice_fallbacks_total"), 0.0);
    for series in [
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_open_fds",
    ] {
        assert!(scrape.value(series) > 0.0, "{series}");
    }
    let pid = machine.property("portamento", "MainPID");
    let policies = machine.run(&format!("chrt --all-tasks --pid {pid}"));
    assert!(policies.contains("SCHED_BATCH"), "{policies}");

    let status = machine.status_of("portamento");
    let value = |key| status_value(&status, key);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(value(set), "0000000000000000", "{set}");
    }
    assert_eq!(value("NoNewPrivs"), "1");
    assert_eq!(value("Seccomp"), "2", "a filter");
    assert!(!value("Uid").starts_with("0\t"), "it is not root");
}

#[test]
fn names_resolve_for_the_service() {
    let Some(machine) = Machine::with(&["portamento.service"]) else {
        return;
    };
    // Without AF_NETLINK the C library can't ask which addresses the host has, and does without.
    machine.run("echo 127.0.0.1 tempo.example >hosts; mount --bind hosts /etc/hosts");
    machine
        .run("sed -i s/127.0.0.1:9095/tempo.example:9095/ /etc/systemd/system/portamento.service");
    machine.run("systemctl daemon-reload; systemctl start portamento");
    machine.inside(|| {
        let _standin = standin();
        assert_forwards_grpc();
    });
}

#[test]
fn the_service_is_back_at_once_after_a_crash_and_its_watchdog_is_fed() {
    let Some(machine) = Machine::with(&["portamento.service"]) else {
        return;
    };
    machine.run("systemctl start portamento");
    let fed = || machine.property("portamento", "WatchdogTimestampMonotonic");
    let first = fed();
    eventually("the watchdog is fed", || fed() != first);
    let pid = machine.property("portamento", "MainPID");
    machine.run(&format!("kill -KILL {pid}"));
    eventually("another one runs", || {
        let now = machine.property("portamento", "MainPID");
        now != "0" && now != pid && machine.succeeds("systemctl is-active portamento")
    });
    assert_eq!(machine.property("portamento", "NRestarts"), "1");
}

#[test]
fn a_wrong_command_line_is_not_tried_again() {
    let Some(machine) = Machine::with(&["portamento.service"]) else {
        return;
    };
    machine.run("sed -i s/--upstream/--upstraem/ /etc/systemd/system/portamento.service");
    machine.run("systemctl daemon-reload");
    assert!(!machine.succeeds("systemctl start portamento"));
    assert_eq!(machine.property("portamento", "ActiveState"), "failed");
    assert_eq!(machine.property("portamento", "ExecMainStatus"), "2");
}
