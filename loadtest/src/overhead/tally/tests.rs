//! Made-up samples, and what becomes of them.

use super::super::compare::Mismatch;
use super::*;

fn tally() -> Tally {
    Tally::new(Arc::new(Mix::for_standin(1)), &["relay".to_owned()], false)
}

fn good(call: usize, microseconds: u64) -> Sample {
    let latency = Duration::from_micros(microseconds);
    let outcome = Outcome::Answered {
        latency,
        service: latency,
        bytes: 10,
        mismatch: None,
    };
    Sample {
        call,
        outcome,
        in_turn: true,
    }
}

#[test]
fn rounds_are_paired() {
    let mut tally = tally();
    for round in 0..10 {
        // The machine is slower in each round; what the proxy adds stays the same.
        let base = 100 * (round + 1);
        tally.record(Arm::Direct, &[good(0, base), good(0, base + 4)], false);
        tally.record(
            Arm::Through(0),
            &[good(0, base + 30), good(0, base + 34)],
            false,
        );
        tally.record(Arm::Null, &[good(0, base + 2)], false);
        tally.end_round(true);
    }
    assert_eq!(tally.requests(Arm::Through(0)), 20);
    let (rows, totals, failures) = tally.report(&[]);
    assert_eq!((rows.len(), totals.requests, failures.len()), (1, 50, 0));
    let added = rows[0].through[0].added.as_ref().unwrap();
    assert_eq!(
        (added.median_ns, added.low_ns, added.high_ns),
        (30e3, 30e3, 30e3)
    );
    assert_eq!(rows[0].noise.as_ref().unwrap().median_ns, 0.0);
    assert_eq!(rows[0].stands_out(&rows[0].through[0]), Some(true));
}

#[test]
fn a_round_without_a_partner_makes_no_pair() {
    let mut tally = tally();
    tally.record(Arm::Direct, &[good(0, 1)], false);
    tally.end_round(true);
    tally.record(Arm::Through(0), &[good(0, 1)], false);
    tally.end_round(true);
    tally.record(Arm::Direct, &[good(0, 1)], false);
    tally.record(Arm::Through(0), &[good(0, 1)], false);
    tally.end_round(false);
    let added = |kind: &KindTally| kind.arms[Arm::Through(0).place()].added.len();
    assert!(tally.kinds.iter().all(|kind| added(kind) == 0));
}

fn different(call: usize) -> Sample {
    let mismatch = Mismatch {
        offset: 7,
        expected: 9,
        received: 9,
    };
    let outcome = Outcome::Answered {
        latency: Duration::ZERO,
        service: Duration::ZERO,
        bytes: 9,
        mismatch: Some(mismatch),
    };
    Sample {
        call,
        outcome,
        in_turn: true,
    }
}

fn failed(call: usize) -> Sample {
    let outcome = Outcome::Failed(tonic::Status::unavailable("refused"));
    Sample {
        call,
        outcome,
        in_turn: true,
    }
}

#[test]
fn failures_and_differences_are_errors_even_while_warming() {
    let mut tally = tally();
    tally.record(Arm::Through(0), &[different(0), failed(1)], true);
    assert_eq!((tally.counts(), tally.unsteady().len()), ((2, 2), 0));

    let first = tally.mix.calls()[0].to_string();
    let (_, totals, failures) = tally.report(&[]);
    assert_eq!((totals.errors, totals.different), (2, 1));
    assert_eq!(failures[0].call, first);
    assert!(failures[0].what.contains("byte 7"), "{}", failures[0].what);
    assert!(failures[1].what.contains("refused"), "{}", failures[1].what);
}

#[test]
fn a_kind_that_changes_by_itself_can_be_excused() {
    let mut tally = tally();
    tally.record(Arm::Through(0), &[different(0), failed(0)], false);
    tally.record(Arm::Null, &[different(0)], false);
    let unsteady = tally.unsteady();
    assert_eq!(unsteady, [tally.mix.calls()[0].kind]);
    let (_, totals, failures) = tally.report(&unsteady);
    assert_eq!((totals.errors, totals.different), (1, 2));
    assert_eq!(failures.len(), 1);
}
