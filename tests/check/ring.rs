use std::{
    fs,
    net::TcpListener,
    time::{Duration, SystemTime},
};

use loadtest::{StandIn, StandInConfig};
use serde_json::json;

use super::{
    Found, command, outer_address,
    server::{Http, response},
    support::{Echo, Nobody, Origin, Process, skip},
    text,
};

/// A ring whose page is served as Tempo does: JSON to those who accept it, HTML to others.
pub(crate) fn serve(shards: serde_json::Value) -> Http {
    serve_at("127.0.0.1", shards)
}

fn serve_at(ip: &str, shards: serde_json::Value) -> Http {
    let page = json!({ "shards": shards, "now": rfc3339(Duration::ZERO) }).to_string();
    Http::start(ip, move |request| {
        let accepts = request.headers().get("Accept");
        match request.uri().path() {
            "/live-store/ring" if accepts.is_some_and(|value| value == "application/json") => {
                response(200, "application/json", page.clone())
            }
            "/live-store/ring" => response(200, "text/html", "<!DOCTYPE html><html></html>"),
            _ => response(404, "text/plain", "404 page not found\n"),
        }
    })
}

/// An entry of the ring, as Tempo shows it.
fn shard(id: &str, address: impl ToString, state: &str, age: Duration) -> serde_json::Value {
    json!({
        "id": id, "state": state, "address": address.to_string(), "timestamp": rfc3339(age),
        "registered_timestamp": "2026-08-21T09:00:00Z", "read_only": false,
        "read_only_updated_timestamp": "0001-01-01T00:00:00Z", "zone": "", "tokens": null,
    })
}

pub(crate) fn active(address: impl ToString) -> serde_json::Value {
    shard("live-store-0", address, "ACTIVE", Duration::from_secs(3))
}

pub(crate) fn rfc3339(age: Duration) -> String {
    humantime::format_rfc3339_nanos(SystemTime::now() - age).to_string()
}

/// An upstream, and an address to listen on that nobody has.
pub(crate) struct Pair {
    pub(crate) upstream: Echo,
    pub(crate) listen: Nobody,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self {
            upstream: Echo::start(),
            listen: Nobody::new(),
        }
    }

    pub(crate) fn check(&self, ring: &Http, more: &[&str]) -> Found {
        self.check_at(&self.listen.addr().to_string(), ring, more)
    }

    fn check_at(&self, listen: &str, ring: &Http, more: &[&str]) -> Found {
        let (upstream, ring) = (self.upstream.addr().to_string(), ring.url());
        let args = ["--listen", listen, "--upstream", &upstream, "--ring", &ring];
        Found::by(&[&args[..], more].concat())
    }
}

#[test]
fn a_ring_that_leads_to_a_running_forwarder_has_no_fault() {
    let upstream = StandIn::start(StandInConfig::default()).unwrap();
    let process = Process::start(upstream.local_addr(), &[]);
    let ring = serve(json!([active(process.addr()), active("192.0.2.77:12345")]));
    let listen = process.addr().to_string();
    let found = Found::by(&[
        "--listen",
        &listen,
        "--admin",
        "off",
        "--ring",
        &ring.url(),
        "--upstream",
        &upstream.local_addr().to_string(),
    ]);
    assert_eq!(found.code, Some(0), "{:#}", found.report);
    found.has(
        "listen",
        "ok",
        &["portamento (pid", "listens there already"],
    );
    found.has("upstream-health", "ok", &["SERVING"]);
    found.has("ring", "ok", &["entries: 2"]);
    found.has("ring-port", "ok", &["live-store-0", &listen, "it answers"]);
    found.has("ring-state", "ok", &["ACTIVE"]);
    found.has("ring-heartbeat", "ok", &["live-store-0"]);
}

#[test]
fn an_entry_with_the_upstreams_port_bypasses_the_forwarder() {
    let pair = Pair::new();
    let found = pair.check(&serve(json!([active(pair.upstream.addr())])), &[]);
    let cure = format!(
        "set live_store.ring.instance_port to {}",
        pair.listen.addr().port()
    );
    let upstream = pair.upstream.addr().to_string();
    found.has(
        "ring-port",
        "error",
        &["live-store-0", &upstream, "bypass portamento", &cure],
    );
}

#[test]
fn an_entry_with_a_port_that_nobody_listens_on_leads_nowhere() {
    let (pair, nobody) = (Pair::new(), Nobody::new());
    let found = pair.check(&serve(json!([active(nobody.addr())])), &[]);
    let cure = format!(
        "set live_store.ring.instance_port to {}",
        pair.listen.addr().port()
    );
    found.has(
        "ring-port",
        "error",
        &[&nobody.addr().to_string(), "where nobody listens", &cure],
    );
}

#[test]
fn an_entry_with_the_port_of_something_else_leads_there() {
    let (pair, other) = (Pair::new(), Origin::bind());
    let found = pair.check(&serve(json!([active(other.addr())])), &[]);
    found.has(
        "ring-port",
        "error",
        &["something else than portamento listens"],
    );
}

#[test]
fn an_entry_that_leads_to_a_forwarder_that_has_not_started_is_right() {
    let pair = Pair::new();
    let found = pair.check(&serve(json!([active(pair.listen.addr())])), &[]);
    found.has(
        "ring-port",
        "warning",
        &["as it should", "start portamento"],
    );
}

#[test]
fn a_listener_on_one_address_is_not_on_another() {
    let pair = Pair::new();
    let port = pair.listen.addr().port();
    let ring = serve(json!([active(format!("127.0.0.2:{port}"))]));
    let found = pair.check(&ring, &["--instance-addr", "127.0.0.2"]);
    let cure = format!("give --listen :{port}");
    found.has("ring-port", "error", &["takes no connections", &cure]);
}

#[test]
fn without_a_fixed_port_the_ring_can_not_lead_to_it() {
    let pair = Pair::new();
    let ring = serve(json!([active(Nobody::new().addr())]));
    let found = pair.check_at("127.0.0.1:0", &ring, &[]);
    found.has("ring-port", "error", &["give --listen a port"]);
}

#[test]
fn queriers_leave_out_an_entry_that_is_not_active() {
    let pair = Pair::new();
    for state in ["LEAVING", "PENDING", "UNHEALTHY"] {
        let entry = shard("live-store-0", pair.listen.addr(), state, Duration::ZERO);
        let found = pair.check(&serve(json!([entry])), &[]);
        found.has(
            "ring-state",
            "error",
            &["live-store-0", state, "not ACTIVE"],
        );
    }
}

#[test]
fn an_old_heartbeat_is_a_warning() {
    let pair = Pair::new();
    let age = Duration::from_secs(3600);
    let entry = shard("live-store-0", pair.listen.addr(), "ACTIVE", age);
    let found = pair.check(&serve(json!([entry])), &[]);
    found.has(
        "ring-heartbeat",
        "warning",
        &["live-store-0", "360", "memberlist"],
    );
}

#[test]
fn a_ring_without_this_host_says_who_is_there() {
    let pair = Pair::new();
    let others: Vec<_> = (1..=7)
        .map(|last| {
            shard(
                &format!("other-{last}"),
                format!("192.0.2.{}:12345", 100 + last),
                "ACTIVE",
                Duration::ZERO,
            )
        })
        .collect();
    let found = pair.check(&serve(json!(others)), &["--instance-addr", "192.0.2.50"]);
    found.has(
        "ring-entry",
        "error",
        &[
            "192.0.2.50 (--instance-addr)",
            "other-1 at 192.0.2.101:12345 (ACTIVE)",
            "and 2 more",
            "live_store.ring.instance_addr",
        ],
    );
    assert!(found.all("ring-port").is_empty());
}

#[test]
fn an_entry_of_this_name_with_another_address_is_another_hosts() {
    let pair = Pair::new();
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let entry = shard(name.trim(), "192.0.2.77:12345", "ACTIVE", Duration::ZERO);
    let found = pair.check(&serve(json!([entry])), &["--instance-addr", "192.0.2.50"]);
    found.has(
        "ring-entry",
        "error",
        &[
            name.trim(),
            "another host's address, 192.0.2.77:12345",
            "192.0.2.50",
        ],
    );
}

#[test]
fn this_hosts_address_is_taken_from_the_flag_then_from_pod_ip() {
    let pair = Pair::new();
    let port = pair.listen.addr().port();
    let ring = serve(json!([active(format!("192.0.2.77:{port}"))]));
    let check = |args: &[&str], pod_ip: &str| {
        let mut command = command(args);
        let listen = format!("0.0.0.0:{port}");
        command.args([
            "--listen",
            &listen,
            "--upstream",
            &pair.upstream.addr().to_string(),
        ]);
        command.args(["--ring", &ring.url()]).env("POD_IP", pod_ip);
        command
    };
    let found = Found::of(check(&[], "192.0.2.77"));
    assert_eq!(found.all("ring-port").len(), 1, "{:#}", found.report);
    let found = Found::of(check(
        &["--instance-addr", "192.0.2.50,192.0.2.51"],
        "192.0.2.77",
    ));
    found.has(
        "ring-entry",
        "error",
        &["192.0.2.50, 192.0.2.51 (--instance-addr)"],
    );
    let found = Found::of(check(&[], "192.0.2.50"));
    found.has("ring-entry", "error", &["192.0.2.50 (POD_IP)"]);
    let found = Found::of(check(&[], ""));
    found.has("ring-entry", "error", &["(its interfaces)"]);

    let output = check(&[], "tempo").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output).contains("POD_IP 'tempo': not an IP address"),
        "{}",
        text(&output)
    );
}

#[test]
fn several_entries_of_this_host_are_each_looked_at() {
    let pair = Pair::new();
    let old = shard(
        "live-store-9",
        pair.upstream.addr(),
        "LEAVING",
        Duration::ZERO,
    );
    let ring = serve(json!([active(pair.listen.addr()), old]));
    let found = pair.check(&ring, &[]);
    found.has(
        "ring-entry",
        "warning",
        &["2 entries", "1 of them", "live-store-9"],
    );
    let levels = |id| -> Vec<_> {
        found
            .all(id)
            .iter()
            .map(|finding| finding.0.to_owned())
            .collect()
    };
    assert_eq!(levels("ring-port"), ["warning", "error"]);
    assert_eq!(levels("ring-state"), ["ok", "error"]);
}

#[test]
fn an_entry_over_ipv6_is_read() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        return skip("no IPv6 here");
    };
    let pair = Pair::new();
    let address = listener.local_addr().unwrap();
    let ring = serve_at("::1", json!([active(address)]));
    let found = pair.check_at(&address.to_string(), &ring, &[]);
    found.has("ring-port", "ok", &[&address.to_string()]);
    let found = pair.check_at(&format!(":{}", address.port()), &ring, &[]);
    found.has("ring-port", "ok", &[&address.to_string()]);
}

#[test]
fn a_loopback_address_is_for_this_host_alone() {
    let Some(outer) = outer_address() else {
        return skip("no address but the loopback's");
    };
    let pair = Pair::new();
    let entry = active(pair.listen.addr());
    let ring = serve_at(&outer.to_string(), json!([entry]));
    let found = pair.check(&ring, &[]);
    found.has(
        "ring-address",
        "warning",
        &["127.0.0.1", "other hosts cannot reach"],
    );
    assert!(
        pair.check(&serve(json!([entry])), &[])
            .all("ring-address")
            .is_empty()
    );
}

#[test]
fn what_others_say_does_not_reach_the_terminal() {
    let pair = Pair::new();
    let evil = "live\n\u{1b}[2Jstore";
    let ring = serve(json!([shard(
        evil,
        pair.listen.addr(),
        "ACTIVE",
        Duration::ZERO
    )]));
    let found = pair.check(&ring, &[]);
    found.has("ring-state", "ok", &["live\\n\\u{1b}[2Jstore is ACTIVE"]);
}
