//! `loadtest overhead` as a process, through relays that do their work and one that does not.

#![expect(
    clippy::unwrap_used,
    reason = "in the helpers too, a failed unwrap fails the test"
)]

mod support;

use std::net::{SocketAddr, TcpListener};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};

use loadtest::report::Report;

use loadtest::{ClientConfig, QuerierClient, StandIn, StandInConfig, TraceId};
use support::{is_valid, loadtest, relay};

fn overhead(args: &[&str]) -> Output {
    loadtest(&[&["overhead"], args].concat())
}

const INSIDE_A_TRACE: &[u8] = b"io.opentelemetry.http";

/// What the stand-in itself answers.
fn answer(standin: &StandIn, id: TraceId) -> Vec<u8> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let config = ClientConfig::new(standin.local_addr());
        let client = QuerierClient::connect(config).await.unwrap();
        client.find_trace(id).await.unwrap().to_vec()
    })
}

/// Flips one bit inside a trace, so that HTTP/2 and protobuf stay well formed.
fn flip(bytes: &mut [u8]) {
    let place = bytes
        .windows(INSIDE_A_TRACE.len())
        .position(|window| window == INSIDE_A_TRACE);
    if let Some(place) = place {
        bytes[place] ^= 1;
    }
}

/// Measures a stand-in of this process through `via`; small traces, for debug builds are slow.
fn measure(standin: &StandIn, via: SocketAddr, args: &[&str]) -> (Output, Option<Report>) {
    let json = std::env::temp_dir().join(format!("loadtest-{}.json", via.port()));
    let ids = [20_000, 300_000].map(|size| TraceId::sized(size, 1).to_string());
    let (direct, via) = (standin.local_addr().to_string(), via.to_string());
    let mut all = vec!["--direct", &direct, "--via", &via, "--duration", "1s"];
    all.extend([
        "--trace-id",
        &ids[0],
        "--trace-id",
        &ids[1],
        "--json",
        json.to_str().unwrap(),
    ]);
    all.extend(args);
    let output = overhead(&all);
    let report = std::fs::read(&json)
        .ok()
        .inspect(|json| is_valid(json))
        .map(|json| serde_json::from_slice(&json).unwrap());
    std::fs::remove_file(&json).ok();
    (output, report)
}

#[test]
fn a_faithful_relay_passes() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let via = relay(standin.local_addr(), |_| ());
    let (output, report) = measure(&standin, via, &["--connections", "2", "--streams", "3"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    assert!(stdout.contains("all identical"), "{stdout}");
    assert!(
        stdout.lines().all(|line| line.chars().count() <= 100),
        "{stdout}"
    );

    let report = report.unwrap();
    assert_eq!((report.schema_version, report.totals.errors), (3, 0));
    assert_eq!(
        (report.settings.connections, report.settings.streams),
        (2, 3)
    );
    assert!(report.rounds > 0 && report.measured_s >= 1.0);
    let kinds: Vec<&str> = report.kinds.iter().map(|kind| kind.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "health check",
            "trace, small",
            "trace, large",
            "health, busy",
            "search",
            "tags",
            "tag values",
            "query range"
        ]
    );
    for kind in &report.kinds {
        assert!(
            kind.targets().all(|target| target.latency.p50_ns > Some(0)),
            "{kind:?}"
        );
    }
}

#[test]
fn traces_are_found_by_a_search() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let direct = standin.local_addr().to_string();
    let via = relay(standin.local_addr(), |_| ()).to_string();
    let output = overhead(&["--direct", &direct, "--via", &via, "--duration", "200ms"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    assert!(
        stdout.contains("trace, small") && stdout.contains("trace, large"),
        "{stdout}"
    );
}

#[test]
fn a_flipped_byte_is_found_with_call_id_and_offset() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let via = relay(standin.local_addr(), flip);
    let (output, report) = measure(&standin, via, &["--compression", "none"]);
    assert_eq!(output.status.code(), Some(1));

    let report = report.unwrap();
    assert!(report.totals.different > 0);
    let failure = &report.failures[0];
    assert_eq!(failure.target, "via");
    let ids =
        [20_000, 300_000].map(|size| format!("Querier/FindTraceByID {}", TraceId::sized(size, 1)));
    assert!(ids.contains(&failure.call), "{failure:?}");
    let offset = failure
        .what
        .strip_prefix("the answer differs from the direct one at byte ");
    let offset = offset.and_then(|text| text.split(' ').next()).unwrap();
    let offset: usize = offset.parse().unwrap();
    let id: TraceId = failure
        .call
        .split(' ')
        .next_back()
        .unwrap()
        .parse()
        .unwrap();
    assert!(answer(&standin, id)[offset..].starts_with(INSIDE_A_TRACE));
    assert!(
        report
            .kinds
            .iter()
            .all(|kind| kind.direct.errors + kind.null.errors == 0)
    );

    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("error: Querier/FindTraceByID"), "{stdout}");
}

#[test]
fn a_flipped_byte_breaks_a_compressed_answer() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let via = relay(standin.local_addr(), flip);
    let (output, report) = measure(&standin, via, &[]);
    assert_eq!(output.status.code(), Some(1));
    let failures = report.unwrap().failures;
    assert!(failures[0].what.contains("snappy"), "{failures:?}");
}

#[test]
fn answers_that_change_by_themselves_are_no_fault_of_the_proxy() {
    static CHUNKS: AtomicUsize = AtomicUsize::new(0);
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let unsteady = relay(standin.local_addr(), |bytes| {
        if CHUNKS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            flip(bytes);
        }
    });
    let via = relay(unsteady, |_| ());
    let ids = [
        TraceId::sized(20_000, 1).to_string(),
        TraceId::sized(300_000, 1).to_string(),
    ];
    let (direct, via) = (unsteady.to_string(), via.to_string());
    let output = overhead(&[
        "--direct",
        &direct,
        "--via",
        &via,
        "--duration",
        "1s",
        "--compression",
        "none",
        "--trace-id",
        &ids[0],
        "--trace-id",
        &ids[1],
    ]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    assert!(
        stdout.contains("the backend's own answers change"),
        "{stdout}"
    );
}

#[test]
fn a_report_that_cannot_be_written_is_noticed_first() {
    let output = overhead(&["--json", "/no/such/folder/report.json"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("Error: --json: cannot write /no/such/folder/report.json"),
        "{stderr}"
    );
}

#[test]
fn a_proxy_that_is_not_there_is_an_error() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (output, report) = measure(&standin, closed, &[]);
    assert_eq!((output.status.code(), report), (Some(1), None));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains(&format!("cannot connect to {closed}")),
        "{stderr}"
    );
}

#[test]
fn a_proxy_that_does_not_start_tells_why() {
    let output = overhead(&[
        "--proxy",
        "sh -c 'echo no {listen} for {upstream} >&2; exit 9'",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("exit status: 9") && stderr.contains("no 127.0.0.1:"),
        "{stderr}"
    );
}

#[test]
fn without_flags_it_starts_standin_and_portamento() {
    let output = overhead(&["--duration", "1s"]);
    let (stdout, stderr) = (
        String::from_utf8(output.stdout),
        String::from_utf8(output.stderr),
    );
    let (stdout, stderr) = (stdout.unwrap(), stderr.unwrap());
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("proxy CPU"), "{stdout}");
    assert!(stdout.contains("all identical"), "{stdout}");
}

#[test]
fn several_proxies_are_measured_side_by_side_and_watched() {
    let (one, other) = (
        support::portamento_as("one"),
        support::portamento_as("other"),
    );
    let json = std::env::temp_dir().join(format!("loadtest-several-{}.json", std::process::id()));
    let path = json.to_str().unwrap();
    let output = overhead(&[
        "--duration",
        "1s",
        "--proxy",
        &one,
        "--proxy",
        &other,
        "--json",
        path,
    ]);
    let (stdout, stderr) = support::words(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(support::fits(&stdout), "{stdout}");
    let report: Report = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    std::fs::remove_file(&json).unwrap();
    for (place, name) in ["one", "other"].into_iter().enumerate() {
        let through = report.kinds.iter().map(|kind| &kind.through[place]);
        assert!(
            through
                .clone()
                .all(|row| row.proxy == name && row.calls.requests > 0)
        );
        let proxy = &report.proxies[place];
        assert_eq!(proxy.name, name);
        assert!(proxy.cpu_us_per_request > 0.0 && proxy.switches_per_request > 0.0);
        let calls = proxy.syscalls_per_request;
        assert_eq!(calls.is_none(), report.syscalls_unavailable.is_some());
        assert!(calls.is_none_or(|calls| calls > 1.0), "{calls:?}");
    }
}

#[test]
fn a_condition_that_holds_fails_the_run_and_says_with_which_figure() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let via = relay(standin.local_addr(), |bytes| {
        if !bytes.is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    });
    let (direct, via) = (standin.local_addr().to_string(), via.to_string());
    let run = |condition: &str| {
        let common = [
            "overhead", "--mix", "health", "--direct", &direct, "--via", &via,
        ];
        let more = ["--duration", "3s", "--streams", "1", "--fail-if", condition];
        let (output, report): (_, Report) = support::measure(&[&common[..], &more].concat());
        let (stdout, _) = support::words(&output);
        (output.status.code(), stdout, report.failed_if)
    };
    let (code, stdout, failed_if) = run("health check:p50-added>2ms");
    assert_eq!((code, failed_if.len()), (Some(1), 1), "{stdout}");
    assert!(
        stdout.contains("failed: --fail-if 'health check:p50-added>2ms': health check, via: "),
        "{stdout}"
    );
    let (code, stdout, failed_if) = run("health check:p50-added>10s");
    assert_eq!((code, failed_if.len()), (Some(0), 0), "{stdout}");
    // Of few calls there is no 99.9th percentile, and what was not seen has not passed.
    let (code, stdout, failed_if) = run("health check:p99.9-added>10s");
    assert_eq!((code, failed_if.len()), (Some(1), 1), "{stdout}");
    assert!(stdout.contains("too little was measured"), "{stdout}");
}

#[test]
fn single_calls_of_chosen_sizes_in_open_loop() {
    let proxy = support::portamento_as("relay");
    let (output, report): (_, Report) = support::measure(&[
        "overhead",
        "--mix",
        "trace,tags",
        "--size",
        "8KiB,300KiB",
        "--rate",
        "100",
        "--fail-if",
        "achieved<10%",
        "--duration",
        "2s",
        "--proxy",
        &proxy,
    ]);
    let (stdout, stderr) = support::words(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(support::fits(&stdout), "{stdout}");
    assert_eq!(report.settings.sizes, [8 << 10, 300 << 10]);
    let kinds: Vec<&str> = report.kinds.iter().map(|kind| kind.kind.as_str()).collect();
    assert_eq!(kinds, ["trace 8 KiB", "trace 300 KiB", "tags"]);
    for target in report.kinds.iter().flat_map(|kind| kind.targets()) {
        let service = target.service.as_ref().unwrap();
        assert!(target.latency.p50_ns >= service.p50_ns && service.p50_ns > Some(0));
    }
    // As many calls to each, and all of them made.
    let made: Vec<u64> = report
        .targets
        .iter()
        .map(|target| target.requests)
        .collect();
    assert!(
        made.iter().all(|&calls| calls == made[0] && calls >= 50),
        "{made:?}"
    );
    assert!(report.targets.iter().all(|target| target.unsent == 0));
}

#[test]
fn mistakes_in_the_flags_exit_with_2() {
    for args in [
        &["--direct", "127.0.0.1"][..],
        &["--via", "127.0.0.1:1"],
        &["--trace-id", "abc"],
        &[
            "--direct",
            "127.0.0.1:1",
            "--via",
            "127.0.0.1:2",
            "--trace-id",
            "xyz",
        ],
        &[
            "--direct",
            "127.0.0.1:1",
            "--via",
            "127.0.0.1:2",
            "--proxy",
            "a {listen} {upstream}",
        ],
        &[
            "--direct",
            "127.0.0.1:1",
            "--via",
            "127.0.0.1:2",
            "--portamento",
            "x",
        ],
        &["--portamento", "x", "--proxy", "a {listen} {upstream}"],
        &["--proxy", "a {listen}"],
        &["--proxy", "seventeen-letters=a {listen} {upstream}"],
        &["--proxy", "direct=a {listen} {upstream}"],
        &[
            "--proxy",
            "b=a {listen} {upstream}",
            "--proxy",
            "b=c {listen} {upstream}",
        ],
        &["--duration", "0s"],
        &["--duration", "20"],
        &["--connections", "0"],
        &["--streams", "101"],
        &["--compression", "gzip"],
        &["--rate", "0"],
        &["--mix", "querier,health"],
        &["--mix", "metrics"],
        &["--size", "64KiB"],
        &["--mix", "health", "--size", "64KiB"],
        &["--mix", "trace", "--size", "32MiB"],
        &[
            "--mix",
            "trace",
            "--size",
            "64KiB",
            "--direct",
            "127.0.0.1:1",
        ],
        &[
            "--mix",
            "health",
            "--trace-id",
            "abc",
            "--direct",
            "127.0.0.1:1",
        ],
        &["--direct", "127.0.0.1:1", "--via", "nowhere"],
        &[
            "--direct",
            "127.0.0.1:1",
            "--via",
            "a=b:1",
            "--via",
            "a=b:2",
        ],
        &["--tls-ca", "ca.pem"],
        &["--direct", "127.0.0.1:1", "--tls-server-name", "x"],
        &[
            "--direct",
            "127.0.0.1:1",
            "--tls-ca",
            "ca.pem",
            "--tls-cert",
            "x.pem",
        ],
        &["--fail-if", "errors"],
        &["--fail-if", "errors>1ms"],
        &["--fail-if", "p42-added>1ms"],
        &["--fail-if", "walk:p50-added>1ms"],
        &["--fail-if", "achieved<95%"],
        &[
            "--fail-if",
            "peak-memory>1MiB",
            "--direct",
            "127.0.0.1:1",
            "--via",
            "127.0.0.1:2",
        ],
        &["--no-such-flag"],
    ] {
        let output = overhead(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{args:?}"
        );
    }
}
