//! docs/OPERATIONS.md: its sequences are carried out as they are written, under calls; its runbooks
//! are those of the alerts.

use std::collections::BTreeSet;

use super::{
    machine::Machine,
    queriers::{Habit, standin, while_called},
    read,
    support::eventually,
};

pub(crate) fn page() -> String {
    read("docs/OPERATIONS.md")
}

/// The commands of a sequence: the block of code below the comment that names it.
fn sequence(name: &str) -> String {
    let page = page();
    let marker = format!("<!-- sequence: {name} -->\n");
    let (_, rest) = page
        .split_once(&marker)
        .unwrap_or_else(|| panic!("no sequence {name}"));
    let rest = rest.trim_start().strip_prefix("```sh\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_installation_ends_with_a_service_that_forwards() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.run(&sequence("install"));
    assert_eq!(machine.property("portamento", "ActiveState"), "active");
    assert_eq!(machine.property("portamento", "UnitFileState"), "enabled");
    machine.inside(|| {
        let _standin = standin();
        let (made, failures) = while_called(&[Habit::Stays], |calls| calls.more(10));
        assert_eq!((made >= 10, failures), (true, Vec::new()));
    });
}

#[test]
fn no_call_fails_while_the_template_is_upgraded_as_the_page_says() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.run(&sequence("install-template"));
    let old = machine.property("portamento@a", "MainPID");
    machine.inside(|| {
        let _standin = standin();
        let habits = [
            Habit::Stays,
            Habit::Stays,
            Habit::ComesAndGoes,
            Habit::ComesAndGoes,
        ];
        let (made, failures) = while_called(&habits, |calls| {
            calls.more(500);
            machine.run(&sequence("upgrade"));
            calls.more(500);
            // Those who stay are still with the old one, those who come are with the new one.
            assert_eq!(machine.property("portamento@a", "MainPID"), old);
            assert_eq!(
                machine.property("portamento@a", "ActiveState"),
                "deactivating"
            );
            assert_eq!(machine.property("portamento@b", "ActiveState"), "active");
        });
        assert_eq!(failures, [""; 0], "of {made} calls");
    });
    eventually("the old one ends with its last connection", || {
        machine.property("portamento@a", "ActiveState") == "inactive"
    });
    assert_eq!(machine.property("portamento@a", "Result"), "success");
    assert_eq!(machine.property("portamento@b", "NRestarts"), "0");
}

#[test]
fn no_call_fails_while_the_service_behind_a_socket_is_restarted_as_the_page_says() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.run(&sequence("install-socket"));
    machine.inside(|| {
        let _standin = standin();
        let (made, failures) = while_called(&[Habit::ComesAndGoes; 4], |calls| {
            for _ in 0..3 {
                calls.more(300);
                let before = machine.property("portamento", "MainPID");
                machine.run(&sequence("restart"));
                assert_ne!(machine.property("portamento", "MainPID"), before);
            }
            calls.more(300);
        });
        assert_eq!(failures, [""; 0], "of {made} calls");
    });
}

#[test]
fn every_alert_has_its_runbook_and_every_runbook_its_alert() {
    let rules = read("deploy/prometheus/rules.yaml");
    let alerts: BTreeSet<_> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    let page = page();
    let runbooks: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter(|heading| heading.starts_with("Portamento"))
        .collect();
    assert!(alerts.len() > 10);
    assert_eq!(alerts, runbooks);
    // What a browser makes of such a heading is its name in small letters.
    let anchors: BTreeSet<_> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook_url: docs/OPERATIONS.md#"))
        .map(str::to_owned)
        .collect();
    let expected: BTreeSet<_> = runbooks.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(anchors, expected);
}

#[test]
fn every_reason_of_an_end_is_explained() {
    let page = page();
    let section = page.split_once("## Reading a close reason").unwrap().1;
    let section = section.split_once("\n## ").unwrap().0;
    // The README has them all; a test holds it against the binary.
    let readme = read("README.md");
    let table = readme.split_once("| reason | what happened |").unwrap().1;
    let table = table.split_once("\n\n").unwrap().0;
    let reasons: Vec<_> = table
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(reasons.len() >= 15, "{reasons:?}");
    for reason in reasons {
        assert!(section.contains(&format!("`{reason}`")), "{reason}");
    }
}
