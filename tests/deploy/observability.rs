//! The dashboard and the alert rules ask for what a process really exports.

use std::collections::BTreeSet;

use portamento::config::Engine;
use serde_json::Value;

use crate::{
    promql::{Query, Series},
    read,
    support::{Rig, Scrape},
    yaml,
};

const DASHBOARD: &str = "deploy/grafana/portamento.json";
const RULES: &str = "deploy/prometheus/rules.yaml";
const RUNBOOKS: &str = "docs/OPERATIONS.md";

fn exported() -> Vec<Series> {
    let rig = Rig::new(Engine::Auto);
    Series::all(&Scrape::of(rig.forwarder.admin()))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    let text = value[key].as_str();
    text.unwrap_or_else(|| panic!("no {key} in {value}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value[key].as_array();
    list.unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// Every rule of the file.
pub(crate) fn rules() -> Vec<Value> {
    let [file] = yaml(RULES).try_into().unwrap();
    let groups = list(&file, "groups").iter();
    groups
        .flat_map(|group| list(group, "rules").to_vec())
        .collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).unwrap()
}

/// Its panels, rows among them.
fn panels(dashboard: &Value) -> &[Value] {
    list(dashboard, "panels")
}

/// As Grafana would send it, for one instance.
fn filled(query: &str) -> String {
    query
        .replace("$__rate_interval", "1m")
        .replace("$__range", "1h")
}

#[test]
fn every_alert_asks_for_what_is_exported() {
    let series = exported();
    for rule in rules() {
        let query = Query::check(text(&rule, "expr"), &series);
        for note in ["summary", "description"] {
            query.check_labels_in(text(&rule["annotations"], note), ("$labels.", " }}"));
        }
    }
}

#[test]
fn every_alert_has_a_severity_and_a_runbook_of_its_own() {
    let runbooks = read(RUNBOOKS);
    let mut names = BTreeSet::new();
    for rule in rules() {
        let name = text(&rule, "alert").to_owned();
        assert!(["info", "warning", "critical"].contains(&text(&rule["labels"], "severity")));
        let runbook = format!("{RUNBOOKS}#{}", name.to_lowercase());
        assert_eq!(text(&rule["annotations"], "runbook_url"), runbook);
        let heading = format!("\n### {name}\n");
        assert!(
            runbooks.contains(&heading),
            "{RUNBOOKS} has a runbook for {name}"
        );
        assert!(names.insert(name), "each name once");
    }
}

#[test]
fn every_panel_asks_for_what_is_exported() {
    let series = exported();
    let dashboard = dashboard();
    for panel in panels(&dashboard)
        .iter()
        .filter(|panel| panel["type"] != "row")
    {
        let mut ids = BTreeSet::new();
        for target in list(panel, "targets") {
            assert!(ids.insert(text(target, "refId")), "each id once: {panel}");
            let expr = filled(text(target, "expr"));
            let query = Query::check(&expr, &series);
            query.check_labels_in(text(target, "legendFormat"), ("{{", "}}"));
            for variable in ["$job", "$instance"] {
                assert!(expr.contains(variable), "{expr} is for every {variable}");
            }
        }
        assert!(!ids.is_empty(), "{panel} shows something");
    }
    for note in list(&dashboard["annotations"], "list") {
        Query::check(&filled(text(note, "expr")), &series);
    }
}

#[test]
fn every_metric_of_the_forwarder_is_on_the_dashboard() {
    let shown = read(DASHBOARD);
    let names: BTreeSet<_> = exported().into_iter().map(|series| series.name).collect();
    let missing: Vec<_> = names
        .iter()
        .filter(|name| name.starts_with("portamento_"))
        .filter(|name| !name.ends_with("_sum") && !name.ends_with("_count"))
        .filter(|name| !shown.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_dashboard_has_the_form_that_grafana_imports() {
    let dashboard = dashboard();
    let variables = list(&dashboard["templating"], "list");
    let named = |name: &str| variables.iter().find(|variable| variable["name"] == name);
    assert_eq!(named("datasource").unwrap()["type"], "datasource");
    assert_eq!(named("datasource").unwrap()["query"], "prometheus");
    for name in ["job", "instance"] {
        let variable = named(name).unwrap();
        assert_eq!(variable["datasource"]["uid"], "${datasource}");
        let definition = text(variable, "definition");
        let (query, label) = definition
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')')?.rsplit_once(", "))
            .unwrap();
        assert_eq!(label, name);
        Query::check(query, &exported());
    }

    let mut ids = BTreeSet::new();
    let mut areas: Vec<[u64; 4]> = Vec::new();
    for panel in panels(&dashboard) {
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "each id once: {panel}"
        );
        assert!(!text(panel, "title").is_empty());
        let area = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(area[0] + area[2] <= 24, "within the grid: {panel}");
        let apart = |other: &[u64; 4]| {
            let beside = |at: usize| {
                area[at] + area[at + 2] <= other[at] || other[at] + other[at + 2] <= area[at]
            };
            beside(0) || beside(1)
        };
        assert!(areas.iter().all(apart), "over another one: {panel}");
        areas.push(area);
        if panel["type"] == "row" {
            continue;
        }
        assert!(!text(panel, "description").is_empty());
        let unit = match text(panel, "type") {
            "heatmap" => &panel["options"]["yAxis"]["unit"],
            "stat" | "timeseries" => &panel["fieldConfig"]["defaults"]["unit"],
            other => panic!("no such panel: {other}"),
        };
        let unit = unit.as_str().unwrap_or_default();
        assert!(UNITS.contains(&unit), "unit '{unit}' of {panel}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}");
        for target in list(panel, "targets") {
            assert_eq!(target["datasource"]["uid"], "${datasource}");
        }
    }
}

/// Those of Grafana's units that fit our metrics.
const UNITS: [&str; 8] = [
    "Bps",
    "bytes",
    "cps",
    "ops",
    "percent",
    "percentunit",
    "s",
    "short",
];
