//! Pages of made-up reports.

use super::*;
use crate::report::{
    Difference, Distribution, Latencies, compare_table, measured_table, soak, table,
};

/// Closes what it opens: what a browser would quietly mend shows here.
fn is_well_formed(page: &str) {
    const VOID: [&str; 5] = ["meta", "link", "br", "hr", "!DOCTYPE"];
    let mut open = Vec::new();
    let body = page.split_once("</style>").unwrap().1;
    for piece in body.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').unwrap();
        let name = tag.split_whitespace().next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert!(
                matches!(name, "head" | "html") || open.pop() == Some(name),
                "</{name}>"
            ),
            _ if tag.matches(" class=").count() > 1 => panic!("two classes: {tag}"),
            None if VOID.contains(&name) => {}
            None => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

fn pages() -> [String; 4] {
    let mut report = table::tests::report();
    for kind in &mut report.kinds {
        let mut latencies = Latencies::new();
        (1..=2_000).for_each(|n| latencies.record(n * n));
        kind.direct.latency = Distribution::of(&latencies);
        kind.through[0].calls.latency = Distribution::of(&latencies);
        kind.through[0].calls.service = Some(Distribution::of(&latencies));
        kind.through[0].added = Difference::of((1..40).map(|n| f64::from(n) * 1e3).collect());
    }
    report.kinds[2].through[0].added = None; // as in a short run
    [
        report.into(),
        measured_table::tests::report().into(),
        compare_table::tests::report().into(),
        soak::tests::report().into(),
    ]
    .map(|report: AnyReport| page(&report))
}

#[test]
fn every_page_is_well_formed_and_needs_nothing_else() {
    for page in pages() {
        is_well_formed(&page);
        for outside in ["http://", "https://", "src=", "@import", "url(", "<script"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(
            !page.contains("NaN") && !page.contains("inf\u{a0}"),
            "a figure is none"
        );
    }
}

#[test]
fn figures_stand_as_text_beside_the_pictures() {
    let [overhead, measured, compare, soak] = pages();
    for text in [
        "+20\u{a0}µs",
        "too few rounds",
        "portamento, service",
        "class=\"curve s0\"",
        "class=\"curve s2 service\"",
        "13\u{202f}176 calls",
    ] {
        assert!(overhead.contains(text), "{text}");
    }
    assert!(measured.contains("0.51×"), "{measured}");
    assert!(compare.contains("Control: portamento against itself"));
    assert!(soak.contains("growing") && soak.contains("0 mismatches"));
}

#[test]
fn whatever_a_report_holds_is_shown_and_does_nothing() {
    const EVIL: &str = "<script>alert('x')</script>\"><img onerror=x>&amp;";
    let mut report = table::tests::report();
    let evil = || EVIL.to_owned();
    report.command = vec![evil()];
    report.started_at = evil();
    report.settings.direct = evil();
    report.settings.backend = "given".to_owned();
    report.settings.mix = vec![evil()];
    report.settings.tenant = evil();
    report.environment.cpu = evil();
    report.environment.kernel = evil();
    report.kinds[0].kind = evil();
    report.kinds[0].through[0].proxy = evil();
    report.proxies[0].name = evil();
    report.proxies[0].command = evil();
    report.targets[2].target = evil();
    report.warnings = vec![evil()];
    report.failed_if = vec![evil()];
    report.syscalls_unavailable = Some(evil());
    let overhead = page(&report.into());

    let mut report = compare_table::tests::report();
    for target in &mut report.targets {
        (target.name, target.config) = (evil(), Some(evil()));
        (target.version, target.command) = (Some(evil()), Some(evil()));
    }
    report.scenarios[0].name = evil();
    report.scenarios[0].rows[1].failure = Some(evil());
    let compare = page(&report.into());

    let mut report = soak::tests::report();
    (report.proxy, report.warnings) = (evil(), vec![evil()]);
    report.held[0].what = evil();
    let soak = page(&report.into());

    for page in [overhead, compare, soak] {
        is_well_formed(&page);
        assert!(!page.contains("<script") && !page.contains("<img"));
        assert!(page.contains("&lt;script&gt;alert("), "it is shown");
    }
}
