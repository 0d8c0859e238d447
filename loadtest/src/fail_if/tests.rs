//! Conditions as they are written, and what they say of made-up figures.

use super::*;

fn condition(text: &str) -> Condition {
    text.parse().unwrap()
}

fn figure(place: &str, value: f64, interval: Option<(f64, f64)>) -> Figure {
    Figure {
        place: place.to_owned(),
        target: "portamento".to_owned(),
        value: Some(value),
        interval,
    }
}

#[test]
fn conditions_have_a_figure_a_sign_and_a_value() {
    let read = |text: &str| {
        let Condition {
            place,
            metric,
            op,
            bound,
            ..
        } = condition(text);
        (place, metric, op, bound)
    };
    let p99 = || "p99-added".to_owned();
    assert_eq!(
        read("p99-added>200us"),
        (None, p99(), Op::Above, Bound::Time(200e3))
    );
    assert_eq!(
        read("health check: p99-added >= 1.5 ms"),
        (
            Some("health check".to_owned()),
            p99(),
            Op::AtLeast,
            Bound::Time(1.5e6)
        )
    );
    assert_eq!(read("p50-added>5%").3, Bound::Share(0.05));
    assert_eq!(read("errors<=0").2, Op::AtMost);
    assert_eq!(
        read("peak-memory>64MiB").3,
        Bound::Memory(64.0 * 1_048_576.0)
    );
    assert_eq!(read("down, 1 stream:rate-ratio<0.9").2, Op::Below);
}

#[test]
fn mistakes_are_named() {
    let error = |text: &str| text.parse::<Condition>().unwrap_err();
    assert!(error("errors").starts_with("write it as"));
    assert!(
        error(">5").starts_with("write it as") && error(":errors>5").starts_with("write it as")
    );
    assert_eq!(error("errors>many"), "'many' is no value");
    assert!(error("p99-added>2lightyears").contains("is no unit; there are ns, us"));

    let places = ["health check".to_owned()];
    let check = |text: &str| condition(text).check(OVERHEAD, &places);
    assert_eq!(check("health check:p99-added>1ms"), Ok(()));
    assert_eq!(check("errors>0"), Ok(()));
    let unknown = check("p98-added>1ms").unwrap_err();
    assert!(
        unknown.starts_with("--fail-if 'p98-added>1ms': there is no figure 'p98-added'"),
        "{unknown}"
    );
    assert!(unknown.contains("p99-added"), "{unknown}");
    assert!(
        check("errors>1ms")
            .unwrap_err()
            .ends_with("errors is a number, as 0")
    );
    assert!(check("p99>5%").unwrap_err().contains("p99 is a time"));
    assert!(
        check("search:p99>5ms")
            .unwrap_err()
            .contains("there are health check")
    );
}

#[test]
fn noise_alone_fails_no_build() {
    let condition = condition("p99-added>200us");
    let judge = |value, interval| {
        let (held, unsure) = condition.judge(&[figure("health check", value, interval)]);
        (held.len(), unsure.len())
    };
    assert_eq!(judge(300e3, Some((250e3, 350e3))), (1, 0));
    assert_eq!(
        judge(300e3, Some((150e3, 450e3))),
        (0, 1),
        "it may be chance"
    );
    assert_eq!(judge(150e3, Some((50e3, 450e3))), (0, 0));
    assert_eq!(
        judge(201e3, None),
        (1, 0),
        "without an interval the figure itself counts"
    );

    let (held, _) = condition.judge(&[figure("health check", 300e3, Some((250e3, 350e3)))]);
    assert_eq!(
        held,
        ["'p99-added>200us': health check, portamento: 0.300 ms [0.250 ms, 0.350 ms]"]
    );
}

#[test]
fn below_is_the_other_way_round() {
    let condition = condition("rate-ratio<0.9");
    let judge = |low, high| {
        condition
            .judge(&[figure("down", 0.85, Some((low, high)))])
            .0
            .len()
    };
    assert_eq!((judge(0.8, 0.88), judge(0.8, 0.95)), (1, 0));
}

#[test]
fn what_was_not_measured_has_not_passed() {
    let condition = condition("search:p99-added>200us");
    let mut missing = figure("search", 0.0, None);
    missing.value = None;
    assert_eq!(condition.judge(&[missing]).0.len(), 1);
    assert_eq!(
        condition.judge(&[figure("tags", 1e9, None)]).0.len(),
        1,
        "no such place"
    );
}
