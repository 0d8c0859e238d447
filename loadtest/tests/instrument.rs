//! The instrument itself under test: what is known beforehand has to come out.

#![expect(
    clippy::unwrap_used,
    reason = "in the helpers too, a failed unwrap fails the test"
)]

mod support;

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use loadtest::report::{Report, TargetReport};
use loadtest::{StandIn, StandInConfig};
use support::{crooked_relay, delaying_relay, measure, relay, words};

const HEALTH: [&str; 3] = ["overhead", "--mix", "health"];

#[test]
fn a_proxy_that_adds_a_millisecond_is_measured_as_that() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let backend = standin.local_addr();
    // The same relay without the delay tells what relaying costs by itself.
    let (plain, none) = delaying_relay(backend, Duration::ZERO);
    let (slow, held) = delaying_relay(backend, Duration::from_millis(1));
    let (backend, plain, slow) = (
        backend.to_string(),
        format!("plain={plain}"),
        format!("slow={slow}"),
    );
    let targets = ["--direct", &backend, "--via", &plain, "--via", &slow];
    let args = ["--streams", "1", "--duration", "4s"];
    let (output, report): (_, Report) = measure(&[&HEALTH[..], &targets, &args].concat());
    assert_eq!(output.status.code(), Some(0), "{:?}", words(&output));

    let through = &report.kinds[0].through;
    let added = |place: usize| through[place].added.as_ref().unwrap();
    let (plain, slow) = (added(0), added(1));
    let measured = slow.median_ns - plain.median_ns;
    let known = held.median() - none.median();
    assert!(known > 0.9e6, "the relay itself did not wait: {known} ns");
    // What both intervals leave open, and a twentieth.
    let open = (slow.high_ns - slow.low_ns + plain.high_ns - plain.low_ns) / 2.0;
    assert!(
        (measured - known).abs() <= open + 0.05 * known,
        "measured {measured} ns instead of {known} ns, {open} ns open: {plain:?} {slow:?}"
    );
}

/// A backend that freezes for half a second in every five.
fn freezing(backend: SocketAddr) -> SocketAddr {
    const PERIOD: Duration = Duration::from_secs(5);
    const FROZEN: Duration = Duration::from_millis(500);
    let began = Instant::now();
    crooked_relay(backend, move |_| {
        move |_: Option<usize>, _: &mut Vec<u8>| {
            let into = began.elapsed().as_secs_f64() % PERIOD.as_secs_f64();
            if into > (PERIOD - FROZEN).as_secs_f64() {
                thread::sleep(Duration::from_secs_f64(PERIOD.as_secs_f64() - into));
            }
        }
    })
}

#[test]
fn a_backend_that_freezes_shows_in_response_times_and_hides_in_service_times() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let run = |more: &'static [&str]| {
        let backend = freezing(standin.local_addr());
        let via = relay(backend, |_| ());
        thread::spawn(move || {
            let (backend, via) = (backend.to_string(), via.to_string());
            let targets = ["--direct", &backend, "--via", &via];
            let args = ["--streams", "1", "--duration", "6s"];
            let (output, report): (_, Report) =
                measure(&[&HEALTH[..], &targets, &args, more].concat());
            assert_eq!(output.status.code(), Some(0), "{:?}", words(&output));
            report
        })
    };
    let (open, closed) = (run(&["--rate", "200"]), run(&[]));
    let (open, closed) = (open.join().unwrap(), closed.join().unwrap());

    // Whoever had its turn when the freeze began: of its 300 calls, far over 1 % were delayed.
    let p99 = |target: &&TargetReport| target.latency.p99_ns.unwrap();
    let worst = open.kinds[0].targets().max_by_key(p99).unwrap();
    let response = p99(&worst);
    assert!(response > 250_000_000, "{worst:?}");
    // One call at a time stood in it; the others waited for that one.
    let service = worst.service.as_ref().unwrap().p99_ns.unwrap();
    assert!(service < response / 2, "{worst:?}");
    // In closed loop, those others are never made: this is what open loop is for.
    let closed = closed.kinds[0]
        .targets()
        .map(|target| p99(&target))
        .max()
        .unwrap();
    assert!(closed < response / 2, "{closed} and {response}");
    let offered: Vec<f64> = open
        .targets
        .iter()
        .map(|target| target.offered_per_s.unwrap())
        .collect();
    assert!(
        offered
            .iter()
            .all(|offered| (199.0..=201.0).contains(offered)),
        "{offered:?}"
    );
}

/// What a burner tries to burn, as a share of one CPU: little enough to be had on a busy machine.
const SHARE: f64 = 0.15;

#[test]
fn the_cpu_time_that_a_proxy_burns_is_accounted() {
    let this = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let command = |name: &str, share: f64| {
        format!(
            "{name}=env LISTEN={{listen}} UPSTREAM={{upstream}} SHARE={share} TELL={} {} \
             --exact burner --ignored --nocapture",
            folder.path().join(name).display(),
            this.display()
        )
    };
    let (plain, burner) = (command("plain", 0.0), command("told", SHARE));
    let targets = ["--proxy", &plain, "--proxy", &burner, "--duration", "3s"];
    let (output, report): (_, Report) = measure(&[&HEALTH[..], &targets].concat());
    assert_eq!(output.status.code(), Some(0), "{:?}", words(&output));

    let used: Vec<f64> = report
        .proxies
        .iter()
        .map(|proxy| proxy.cpu_us_per_request * proxy.requests as f64 / 1e6)
        .collect();
    let share = (used[1] - used[0]) / report.measured_s;
    let text = fs::read_to_string(told).unwrap();
    let known: f64 = text.lines().last().unwrap().parse().unwrap();
    assert!(
        known > SHARE / 3.0,
        "it did not get to burn: {known} of a CPU"
    );
    assert!(
        (0.8 * known..1.3 * known).contains(&share),
        "{share} of a CPU instead of {known}; {used:?} s"
    );
}

#[test]
#[ignore = "no test: a proxy for the one above, which starts it"]
fn burner() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let listener = std::net::TcpListener::bind(variable("LISTEN")).unwrap();
    let upstream = variable("UPSTREAM");
    let share: f64 = variable("SHARE").parse().unwrap();
    let mut tell = fs::File::create(variable("TELL")).unwrap();
    thread::spawn(move || {
        let began = Instant::now();
        loop {
            while cpu_of_this_thread() < began.elapsed().as_secs_f64() * share {}
            let burnt = cpu_of_this_thread() / began.elapsed().as_secs_f64();
            tell.write_all(format!("{burnt:.6}\n").as_bytes()).unwrap(); // at once, so no half line
            thread::sleep(Duration::from_millis(5));
        }
    });
    for client in listener.incoming() {
        let (client, server) = (
            client.unwrap(),
            std::net::TcpStream::connect(&upstream).unwrap(),
        );
        for (from, to) in [(&client, &server), (&server, &client)] {
            to.set_nodelay(true).unwrap();
            let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            thread::spawn(move || {
                std::io::copy(&mut from, &mut to).ok();
                to.shutdown(std::net::Shutdown::Write).ok();
            });
        }
    }
}

/// Seconds, as the scheduler has them.
fn cpu_of_this_thread() -> f64 {
    let scheduled = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds: f64 = scheduled.split(' ').next().unwrap().parse().unwrap();
    nanoseconds / 1e9
}
