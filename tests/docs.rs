//! What a user can type or read is described: in the README, in `--help`, in the manual page.

#![allow(
    clippy::unwrap_used,
    reason = "a test that can't go on should say so and end"
)]

mod support;

use std::{collections::BTreeSet, path::Path, process::Command};

use clap::CommandFactory;
use loadtest::cli::ProxyCommand;
use portamento::{
    cli::Args,
    config::{Engine, defaults},
};
use support::{BINARY, Rig, Scrape, get};

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

fn output(args: &[&str]) -> String {
    let output = Command::new(BINARY).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}");
    // In roff a hyphen is written \-.
    String::from_utf8(output.stdout).unwrap().replace('\\', "")
}

/// Each place where everything is described.
fn places() -> [(&'static str, String); 3] {
    [
        ("the README", readme()),
        ("--help", output(&["--help"])),
        ("the manual page", output(&["man"])),
    ]
}

fn assert_described(what: &BTreeSet<String>) {
    for (place, text) in places() {
        let missing: Vec<_> = what.iter().filter(|word| !text.contains(*word)).collect();
        assert!(missing.is_empty(), "{place} lacks {missing:?}");
    }
}

#[test]
fn every_flag_is_described() {
    let command = Args::command();
    let flags: BTreeSet<_> = command
        .get_arguments()
        .filter_map(|flag| flag.get_long())
        .filter(|flag| !["help", "version"].contains(flag))
        .map(|flag| format!("--{flag}"))
        .collect();
    assert!(flags.len() > 25);
    assert_described(&flags);
    for subcommand in command.get_subcommands().map(clap::Command::get_name) {
        assert!(
            readme().contains(&format!("portamento {subcommand}")),
            "{subcommand}"
        );
    }
}

#[test]
fn every_metric_is_described_with_its_labels() {
    let rig = Rig::new(Engine::Auto);
    let scrape = Scrape::of(rig.forwarder.admin());
    let families: BTreeSet<_> = scrape
        .0
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    assert!(families.len() >= 24);
    let mut shown = BTreeSet::new();
    for family in families {
        let series = scrape.0.lines().find(|line| {
            let rest = line.strip_prefix(family);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let labels: Vec<_> = series
            .and_then(|series| series.split_once('{')?.1.rsplit_once('}'))
            .map_or("", |(labels, _)| labels)
            .split(',')
            .filter_map(|label| Some(label.split_once('=')?.0))
            .collect();
        shown.insert(match labels.as_slice() {
            [] => family.to_owned(),
            labels => format!("{family}{{{}}}", labels.join(",")),
        });
    }
    assert_described(&shown);
}

#[test]
fn every_reason_of_an_end_or_a_rejection_is_described() {
    let rig = Rig::new(Engine::Auto);
    let scrape = Scrape::of(rig.forwarder.admin()).0;
    let reasons: BTreeSet<_> = scrape
        .lines()
        .filter(|line| line.starts_with("portamento_connections_"))
        .filter_map(|line| line.split_once("reason=\"")?.1.split('"').next())
        .collect();
    assert!(reasons.len() >= 17);
    let readme = readme();
    for reason in reasons {
        assert!(readme.contains(&format!("`{reason}`")), "{reason}");
    }
}

#[test]
fn every_endpoint_is_described() {
    let rig = Rig::new(Engine::Auto);
    let index = get(rig.forwarder.admin(), "/").body;
    let paths: BTreeSet<_> = index
        .split("href=")
        .skip(1)
        .map(|link| link.split('>').next().unwrap().to_owned())
        .collect();
    assert_eq!(paths.len(), 5);
    for path in &paths {
        assert_eq!(get(rig.forwarder.admin(), path).status / 100, 2, "{path}");
    }
    assert_described(&paths);
}

#[test]
fn reports_name_the_class_that_is_the_default() {
    let started = ProxyCommand::portamento(Path::new("portamento")).template;
    let named = format!("--sched {}", defaults::SCHED);
    assert!(started.contains(&named), "{started}");
    let page = include_str!("../docs/BENCHMARKS.md");
    assert!(page.contains(&format!("the defaults; `{named}`")));
}
