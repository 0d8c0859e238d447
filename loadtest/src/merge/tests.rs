//! Reports of made-up machines become one, or are refused.

use super::*;
use crate::report::{
    Difference, Distribution, Estimate, Latencies, Report, TailDifference, measured_table, table,
};

/// The report of a machine on which everything took `factor` times as long.
fn machine(factor: u64) -> Report {
    let mut report = table::tests::report();
    report.started_at = format!("2026-01-01T00:00:0{factor}Z");
    for kind in &mut report.kinds {
        let mut latencies = Latencies::new();
        (1..=100).for_each(|n| latencies.record(n * 1_000 * factor));
        kind.direct.latency = Distribution::of(&latencies);
        let added = (1..=20).map(|n| (n * 1_000 * factor) as f64).collect();
        kind.through[0].added = Difference::of(added);
    }
    report
}

fn merged(reports: Vec<(&str, AnyReport)>) -> anyhow::Result<AnyReport> {
    let named = reports
        .into_iter()
        .map(|(name, report)| (name.to_owned(), report));
    merge(named.collect())
}

fn why(reports: Vec<(&str, AnyReport)>) -> String {
    format!("{:#}", merged(reports).unwrap_err())
}

#[test]
fn counts_are_added_rates_summed_and_rounds_pooled() {
    let all = merged(vec![("a", machine(1).into()), ("b", machine(2).into())]).unwrap();
    let AnyReport::Overhead(all) = all else {
        panic!("{all:?}");
    };
    let one = machine(1);
    assert_eq!(all.totals.requests, 2 * one.totals.requests);
    assert_eq!(all.rounds, 2 * one.rounds);
    assert_eq!(
        all.targets[2].achieved_per_s,
        2.0 * one.targets[2].achieved_per_s
    );
    // Means, weighed by calls, of what each call took.
    assert!((all.proxies[0].cpu_us_per_request - one.proxies[0].cpu_us_per_request).abs() < 1e-9);
    assert_eq!(all.proxies[0].requests, 2 * one.proxies[0].requests);

    let kind = &all.kinds[0];
    assert_eq!(
        (kind.direct.latency.count(), kind.direct.requests),
        (200, 2 * 1_464)
    );
    let max = kind.direct.latency.max_ns.unwrap();
    assert!((199_900..=200_200).contains(&max), "{max}");
    // The median of 1 to 20 and of 2, 4 to 40, together: by hand.
    let added = kind.through[0].added.as_ref().unwrap();
    assert_eq!((added.pairs, added.median_ns), (40, 14_000.0));
    assert_eq!(all.merged.len(), 2);
    assert_eq!(
        (all.started_at.as_str(), all.measured_s),
        ("2026-01-01T00:00:01Z", 20.04)
    );
    assert!(all.warnings.is_empty(), "{:?}", all.warnings);

    let text = AnyReport::from(*all).table();
    assert!(
        text.contains("\nmerged: a: 20.0 s from 2026-01-01T00:00:01Z, "),
        "{text}"
    );
}

#[test]
fn machines_that_disagree_and_runs_apart_are_told() {
    let mut late = machine(9);
    late.started_at = "2026-01-01T01:00:00Z".to_owned();
    late.warnings = vec!["busy".to_owned()];
    let all = merged(vec![("a", machine(1).into()), ("b", late.into())]).unwrap();
    let AnyReport::Overhead(all) = all else {
        panic!("{all:?}");
    };
    let told = all.warnings.join("\n");
    assert!(told.starts_with("b: busy\n"), "{told}");
    assert!(told.contains("did not all run at the same time"), "{told}");
    assert!(
        told.contains("health check through portamento: the machines' own intervals"),
        "{told}"
    );
}

#[test]
fn errors_of_any_machine_make_the_whole_unclean() {
    let mut bad = machine(2);
    bad.totals.errors = 1;
    let all = merged(vec![("a", machine(1).into()), ("b", bad.into())]).unwrap();
    assert!(!all.is_clean());
}

#[test]
fn conditions_are_held_against_the_whole() {
    let all = || merged(vec![("a", machine(1).into()), ("b", machine(2).into())]).unwrap();
    let judged = |text: &str| {
        let mut all = all();
        judge(&mut all, &[text.parse().unwrap()]).map(|()| all.is_clean())
    };
    assert!(judged("errors>0").unwrap());
    // The pooled interval of 1 to 40 us, against bounds within and beyond it.
    assert!(!judged("health check:p50-added>1us").unwrap());
    assert!(judged("health check:p50-added>100us").unwrap());
    let error = judged("lunch:p50>1ms").unwrap_err().to_string();
    assert!(error.contains("there is no 'lunch' in this run"), "{error}");
}

#[test]
fn what_does_not_go_together_is_refused_with_both_files() {
    let other = |change: fn(&mut Report)| {
        let mut other = machine(2);
        change(&mut other);
        why(vec![
            ("a.json", machine(1).into()),
            ("b.json", other.into()),
        ])
    };
    assert_eq!(
        other(|report| report.settings.streams = 9),
        "a.json and b.json do not go together: streams is 4 in the one, 9 in the other"
    );
    assert_eq!(
        other(|report| report.settings.mix = vec!["health".to_owned()]),
        "a.json and b.json do not go together: mix is [\"querier\"] in the one, [\"health\"] in the other"
    );
    let targets = other(|report| report.targets[2].target = "socat".to_owned());
    assert!(
        targets.contains("targets is [\"direct\",\"null\",\"portamento\"]"),
        "{targets}"
    );
    let kinds = other(|report| drop(report.kinds.pop()));
    assert!(kinds.contains("kinds of call is "), "{kinds}");
    // Each machine's own stand-in has its own port; another backend is another thing.
    let mut elsewhere = [machine(1), machine(2)];
    elsewhere[1].settings.direct = "127.0.0.1:1".to_owned();
    let [a, b] = elsewhere.clone();
    merged(vec![("a", a.into()), ("b", b.into())]).unwrap();
    let [a, b] = elsewhere.map(|mut report| {
        report.settings.backend = "given".to_owned();
        report
    });
    let text = why(vec![("a", a.into()), ("b", b.into())]);
    assert!(
        text.contains("direct is \"127.0.0.1:4001\" in the one"),
        "{text}"
    );

    let latency = measured_table::tests::report();
    assert_eq!(
        why(vec![("a", machine(1).into()), ("b", latency.into())]),
        "a and b do not go together: command is \"overhead\" in the one, \"connections\" in the other"
    );
    let compare = crate::report::compare_table::tests::report();
    assert_eq!(
        why(vec![("a", compare.into())]),
        "a: reports of compare cannot be merged"
    );
}

#[test]
fn the_tails_interval_narrows_as_that_of_a_mean_does() {
    let tail = |difference_ns: f64| TailDifference {
        difference_ns,
        low_ns: difference_ns - 30.0,
        high_ns: difference_ns + 40.0,
    };
    let [one, other] = [tail(100.0), tail(120.0)];
    let all = pool::tails([Some(&one), Some(&other)].into_iter()).unwrap();
    assert_eq!(all.difference_ns, 110.0);
    assert!((all.low_ns - (110.0 - 30.0 / 2_f64.sqrt())).abs() < 1e-9);
    assert!((all.high_ns - (110.0 + 40.0 / 2_f64.sqrt())).abs() < 1e-9);
    assert_eq!(pool::tails([Some(&one), None].into_iter()), None);
}

#[test]
fn scenarios_are_summed_by_round() {
    let machine = |factor: f64| {
        let mut report = measured_table::tests::report();
        for row in report
            .scenarios
            .iter_mut()
            .flat_map(|scenario| &mut scenario.rows)
        {
            row.rate = Estimate::of((1..=8).map(|n| f64::from(n) * factor).collect());
            row.cpu_s = Estimate::of(vec![factor; 8]);
        }
        report
    };
    let all = merged(vec![
        ("a", machine(1.0).into()),
        ("b", machine(10.0).into()),
    ])
    .unwrap();
    let AnyReport::Measured(all) = all else {
        panic!("{all:?}");
    };
    let row = &all.scenarios[1].rows[1];
    assert_eq!(row.rate.as_ref().unwrap().median, 4.5 * 11.0);
    assert_eq!(row.rate.as_ref().unwrap().rounds, 8);
    assert_eq!(row.cpu_s.as_ref().unwrap().median, 5.5);
    assert_eq!((row.operations, row.rounds), (2 * 12_345, 20));
}
