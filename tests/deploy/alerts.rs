//! Each alert fires over what it is for, as a real process tells it, and no other one does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    observability::rules,
    promql::Series,
    repository,
    stories::{STORIES, Told},
    support::{all_at_once, installed},
};

#[test]
fn each_alert_fires_over_what_it_is_for_and_no_other_does() {
    let told: BTreeSet<_> = STORIES.iter().filter_map(|(alert, _)| *alert).collect();
    let rules = rules();
    let alerts: BTreeSet<_> = rules
        .iter()
        .map(|rule| rule["alert"].as_str().unwrap())
        .collect();
    assert_eq!(told, alerts, "each alert has its story");
    if !installed("promtool") {
        return;
    }
    let stories =
        STORIES.map(|(alert, story)| (alert.unwrap_or("none").to_owned(), (alert, story)));
    all_at_once(stories, |(alert, story)| {
        if let Some(told) = story() {
            assert_fires(alert, &told);
        }
    });
}

/// Has Prometheus evaluate the rules over what was told.
fn assert_fires(alert: Option<&str>, told: &Told) {
    let firing: Vec<_> = alert
        .iter()
        .map(|alert| json!({"labels": format!("{{alertname=\"{alert}\"}}"), "value": 1}))
        .collect();
    let test = json!({
        "rule_files": [repository("deploy/prometheus/rules.yaml")],
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": input(told),
            "promql_expr_test": [{
                "expr": "count by (alertname) (ALERTS{alertstate=\"firing\"})",
                "eval_time": format!("{}m", told.minute),
                "exp_samples": firing,
            }],
        }],
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("test.yaml");
    fs::write(&file, test.to_string()).unwrap(); // JSON is YAML
    let promtool = Command::new("promtool")
        .args(["test", "rules"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&promtool.stderr);
    assert!(promtool.status.success(), "{said}");
}

/// The scrapes, a minute apart, as promtool takes them.
fn input(told: &Told) -> Vec<Value> {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for scrape in &told.scrapes {
        for series in Series::all(scrape) {
            values
                .entry(series.selector(&[("job", "portamento"), ("instance", "10.0.0.7:9464")]))
                .or_default()
                .push(series.value);
        }
    }
    let series = values.into_iter().map(|(series, values)| {
        let last = values[values.len() - 1];
        let step = match (told.goes_on, values.as_slice()) {
            (true, [.., before, last]) => last - before,
            _ => 0.0,
        };
        let seen: Vec<_> = values.iter().map(f64::to_string).collect();
        let on = format!("{}{step:+}x{}", last + step, told.minute);
        json!({"series": series, "values": format!("{} {on}", seen.join(" "))})
    });
    series.collect()
}
