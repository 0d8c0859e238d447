//! `loadtest soak` as a process: through portamento, and through relays that break each promise.

#![expect(
    clippy::unwrap_used,
    reason = "in the helpers too, a failed unwrap fails the test"
)]

mod support;

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use loadtest::report::SoakReport;
use loadtest::soak::verdict::Mismatch;
use support::{Origin, crooked_relay, fits, loadtest, measure, portamento_as, words};

/// Soaks through a relay that is to be caught, and returns with what.
fn caught(origin: &Origin, via: SocketAddr, args: &[&str]) -> (Output, SoakReport, Mismatch) {
    let (direct, via) = (origin.addr.to_string(), via.to_string());
    let common = ["soak", "--direct", &direct, "--via", &via, "--seed", "1"];
    let (output, report): (_, SoakReport) = measure(&[&common, args].concat());
    let (stdout, stderr) = words(&output);
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    assert!(fits(&stdout), "{stdout}");
    let mismatch = report.mismatch.clone().unwrap();
    let again = format!("--seed 1 --first {} --connections 1", mismatch.connection);
    assert!(stdout.contains(&again), "{stdout}");
    (output, report, mismatch)
}

#[test]
fn portamento_passes_for_a_time_and_stays_flat() {
    let (output, report): (_, SoakReport) = measure(&[
        "soak",
        "--duration",
        "3s",
        "--proxy",
        &portamento_as("portamento"),
    ]);
    let (stdout, stderr) = words(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(fits(&stdout) && stdout.contains("0 mismatches"), "{stdout}");
    assert!(report.is_clean() && report.schema_version == 3);
    assert!(
        report.connections > 30 && report.checked_bytes > 0,
        "{report:?}"
    );
    assert!(
        report.half_closed > 0 && report.reset > 0 && report.slow > 0,
        "{report:?}"
    );
    assert_eq!(report.held.len(), 3);
    assert!(
        report.held.iter().all(|held| held.samples.len() == 8),
        "{report:?}"
    );
}

#[test]
fn a_number_of_connections_and_their_seed_make_the_same_run() {
    let proxy = portamento_as("portamento");
    let run = || -> SoakReport {
        let (output, report) = measure(&[
            "soak",
            "--connections",
            "40",
            "--seed",
            "7",
            "--proxy",
            &proxy,
            "--concurrency",
            "9",
        ]);
        assert_eq!(output.status.code(), Some(0), "{:?}", words(&output));
        report
    };
    let (one, other) = (run(), run());
    assert_eq!((one.connections, one.seed), (40, 7));
    let kinds = |report: &SoakReport| (report.half_closed, report.reset, report.slow);
    assert_eq!(kinds(&one), kinds(&other));
}

/// A relay in a process of its own: this test program, told to run just [`relay_process`].
struct RelayProcess {
    child: Child,
    addr: String,
}

impl RelayProcess {
    fn start(origin: &Origin, leaks: bool) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "relay_process", "--ignored", "--nocapture"])
            .env("RELAY_UPSTREAM", origin.addr.to_string())
            .env("RELAY_LEAKS", leaks.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let addr = lines.map_while(Result::ok).find_map(|line| {
            let addr = line.split_once("relay on ")?.1;
            Some(addr.to_owned())
        });
        Self {
            child,
            addr: addr.unwrap(),
        }
    }

    /// Soaks through it, with its process named.
    fn soak(&self, origin: &Origin) -> (Output, SoakReport) {
        let (direct, pid) = (origin.addr.to_string(), self.child.id().to_string());
        measure(&[
            "soak",
            "--direct",
            &direct,
            "--via",
            &self.addr,
            "--connections",
            "80",
            "--seed",
            "1",
            "--pid",
            &pid,
        ])
    }
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
#[ignore = "a process that other tests start"]
#[expect(clippy::print_stdout, reason = "tells where it listens")]
fn relay_process() {
    let Ok(upstream) = std::env::var("RELAY_UPSTREAM") else {
        return;
    };
    let leaks = std::env::var("RELAY_LEAKS").unwrap() == "true";
    let kept: Mutex<Vec<File>> = Mutex::default();
    let addr = crooked_relay(upstream.parse().unwrap(), move |_| {
        if leaks {
            kept.lock().unwrap().push(File::open("/dev/null").unwrap());
        }
        |_: Option<usize>, _: &mut Vec<u8>| ()
    });
    println!("relay on {addr}");
    loop {
        std::thread::park(); // until it is killed
    }
}

#[test]
fn a_process_that_is_named_is_watched() {
    let origin = Origin::start();
    let relay = RelayProcess::start(&origin, false);
    let (output, report) = relay.soak(&origin);
    assert_eq!(output.status.code(), Some(0), "{:?}", words(&output));
    assert_eq!(report.held.len(), 3);
    // This relay's resets become FIN, which is told and is no mismatch.
    assert!(report.resets_as_fin > 0, "{report:?}");
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("came as FIN"))
    );
}

#[test]
fn a_leak_of_descriptors_is_caught() {
    let origin = Origin::start();
    let relay = RelayProcess::start(&origin, true);
    let (output, report) = relay.soak(&origin);
    let (stdout, _) = words(&output);
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    assert!(
        stdout.contains("open files, without pipes: GROWS"),
        "{stdout}"
    );
    assert_eq!(report.mismatch, None);
}

#[test]
fn bytes_lost_before_a_fin_are_caught() {
    let origin = Origin::start();
    // Keeps back the last 3 bytes, always; at the end it drops them.
    let via = crooked_relay(origin.addr, |_| {
        let mut kept = Vec::new();
        move |at: Option<usize>, piece: &mut Vec<u8>| {
            if at.is_some() {
                kept.append(piece);
                *piece = kept.drain(..kept.len().saturating_sub(3)).collect();
            }
        }
    });
    let (_, _, mismatch) = caught(&origin, via, &["--connections", "50"]);
    assert_eq!(mismatch.direction, "to the client");
    assert!(mismatch.what.starts_with("FIN, but "), "{mismatch}");
    assert!(mismatch.what.contains("are missing"), "{mismatch}");
}

#[test]
fn a_flipped_byte_is_caught_at_its_offset() {
    let origin = Origin::start();
    let via = crooked_relay(origin.addr, |_| {
        |at: Option<usize>, piece: &mut Vec<u8>| {
            let at = at.unwrap_or(0);
            if (at..at + piece.len()).contains(&4_711) {
                piece[4_711 - at] ^= 0x40;
            }
        }
    });
    let (_, _, mismatch) = caught(&origin, via, &["--connections", "50"]);
    assert_eq!(
        (mismatch.offset, mismatch.direction.as_str()),
        (4_711, "to the client")
    );
    let bytes: Vec<u8> = mismatch
        .what
        .split(" instead of ")
        .map(|byte| u8::from_str_radix(byte.trim_start_matches("0x"), 16).unwrap())
        .collect();
    assert_eq!(bytes[0] ^ bytes[1], 0x40, "{mismatch}");
}

#[test]
fn a_byte_for_another_peer_is_caught() {
    let origin = Origin::start();
    let astray: Arc<Mutex<Option<u8>>> = Arc::default();
    // The first byte of a piece of one connection goes to the next that moves something.
    let via = crooked_relay(origin.addr, move |number| {
        let astray = Arc::clone(&astray);
        let mut is_done = false;
        move |_: Option<usize>, piece: &mut Vec<u8>| {
            let mut astray = astray.lock().unwrap();
            if number % 2 == 0 && piece.len() > 100 && !is_done {
                *astray = Some(piece.remove(0));
                is_done = true;
            } else if number % 2 == 1 && !piece.is_empty() {
                piece.splice(0..0, astray.take());
            }
        }
    });
    let (_, _, mismatch) = caught(&origin, via, &["--connections", "50"]);
    assert!(mismatch.what.contains(" instead of "), "{mismatch}");
}

#[test]
fn bytes_of_another_connection_are_told_whose_they_are() {
    let origin = Origin::start();
    struct Beginning {
        owner: usize,
        bytes: Vec<u8>,
    }
    let first: Arc<Mutex<Option<Beginning>>> = Arc::default();
    // What one connection receives at first, all others receive as well.
    let via = crooked_relay(origin.addr, move |number| {
        let first = Arc::clone(&first);
        let mut begun = Vec::new();
        move |at: Option<usize>, piece: &mut Vec<u8>| {
            const WHOLE: usize = 40_000; // bytes: more than the largest block
            let mut first = first.lock().unwrap();
            match (&*first, at) {
                (None, Some(_)) if begun.len() < WHOLE => {
                    begun.extend_from_slice(piece);
                    if begun.len() >= WHOLE {
                        *first = Some(Beginning {
                            owner: number,
                            bytes: begun.clone(),
                        });
                    }
                }
                (Some(Beginning { owner, bytes }), Some(0)) if *owner != number => {
                    piece.clone_from(bytes);
                }
                _ => {}
            }
        }
    });
    let args = ["--connections", "50", "--concurrency", "1"];
    let (_, _, mismatch) = caught(&origin, via, &args);
    // Behind the mark, which is the same, come length and connection, which are not.
    assert!((4..16).contains(&mismatch.offset), "{mismatch}");
    assert!(
        mismatch.what.contains("belongs to connection "),
        "{mismatch}"
    );
}

#[test]
fn mistakes_in_the_flags_exit_with_2() {
    for args in [
        &["--connections", "0"][..],
        &["--connections", "5", "--duration", "5s"],
        &["--pid", "1"],
        &["--concurrency", "0"],
        &[
            "--proxy",
            "a={listen}{upstream}",
            "--proxy",
            "b={listen}{upstream}",
        ],
    ] {
        let output = loadtest(&[&["soak"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{args:?}"
        );
    }
}

#[test]
fn a_process_that_is_not_there_is_an_error() {
    let origin = Origin::start();
    let addr = origin.addr.to_string();
    let output = loadtest(&[
        "soak",
        "--direct",
        &addr,
        "--via",
        &addr,
        "--pid",
        "4294967295",
    ]);
    let (_, stderr) = words(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.starts_with("Error: cannot look at process 4294967295"),
        "{stderr}"
    );
}
