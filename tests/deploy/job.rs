//! The Job that measures from several pods at once: valid, admitted, let through, and understood.

use std::collections::BTreeSet;

use clap::Parser;
use serde_json::json;

use crate::{
    documents::{assert_understood, command_lines},
    manifests::{NATIVE, POLICY, args, assert_valid, container, document, port, with_values},
    pod_security::assert_restricted,
    read, yaml,
};

const JOB: &str = "deploy/kubernetes/loadtest-job.yaml";

#[test]
fn the_job_is_valid_and_may_run_anywhere() {
    let [job, policy] = yaml(JOB).try_into().unwrap();
    assert_restricted(&job["spec"]["template"]["spec"]);
    for version in ["1.25", "1.37"] {
        assert_valid(&[job.clone(), policy.clone()], version);
    }
    assert_eq!(job["spec"]["completionMode"], "Indexed");
    assert_eq!(
        job["spec"]["completions"], job["spec"]["parallelism"],
        "all at the same time"
    );
    assert_eq!(
        job["spec"]["backoffLimit"], 0,
        "one that came again would be alone"
    );
}

#[test]
fn the_job_runs_what_loadtest_understands_against_the_ports_that_are_open_to_it() {
    let [job, policy] = yaml(JOB).try_into().unwrap();
    let template = &job["spec"]["template"];
    let loadtest = container(template, "loadtest");
    let variables: BTreeSet<_> = loadtest["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| variable["name"].as_str().unwrap())
        .collect();
    assert_eq!(variables, BTreeSet::from(["LIVE_STORE", "START_AT"]));
    let given = [
        ("LIVE_STORE", "10.0.0.7"),
        ("START_AT", "2026-01-31T12:00:00Z"),
        ("JOB_COMPLETION_INDEX", "3"), // from Kubernetes, for an Indexed Job
    ];
    let args = args(loadtest, &given);
    let typed = loadtest::cli::Cli::try_parse_from(["loadtest".to_owned()].iter().chain(&args));
    typed.unwrap();

    let set = with_values(NATIVE);
    let listen = port(
        container(&set["spec"]["template"], "portamento"),
        "portamento",
    );
    assert!(args.contains(&"--direct=10.0.0.7:9095".to_owned()));
    assert!(args.contains(&format!("--via=10.0.0.7:{listen}")));
    let policy = &policy["spec"];
    assert_eq!(
        policy["podSelector"],
        document(POLICY)["spec"]["podSelector"]
    );
    let [rule] = policy["ingress"].as_array().unwrap().as_slice() else {
        panic!("{policy}");
    };
    let from = json!([{"podSelector": {"matchLabels": template["metadata"]["labels"]}}]);
    assert_eq!(rule["from"], from);
    assert_eq!(rule["ports"], json!([{"port": 9095}, {"port": listen}]));
}

#[test]
fn what_the_job_says_how_to_merge_is_understood() {
    let comments = read(JOB);
    let comments = comments
        .lines()
        .filter_map(|line| line.strip_prefix("#   "));
    let lines = command_lines(JOB, comments.map(str::to_owned));
    assert!(!lines.is_empty());
    lines.iter().for_each(assert_understood);
}
