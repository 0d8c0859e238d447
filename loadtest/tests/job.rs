//! The Job in `deploy/kubernetes`, carried out: each of its pods is a process here.

#![expect(
    clippy::unwrap_used,
    reason = "in the helpers too, a failed unwrap fails the test"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use loadtest::{StandIn, StandInConfig};
use serde_json::Value;
use support::{loadtest, relay, words};

const JOB: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../deploy/kubernetes/loadtest-job.yaml"
);

/// How the comment in the file takes the report out of a pod's log.
const REPORT_OF_A_LOG: &str = "sed -n '/^{/,/^}/p'";

/// Runs the pod of that index, and leaves its log: standard output and error as one, as kubelet
/// keeps them.
fn pod(args: &[String], index: usize, folder: &Path) -> PathBuf {
    let log = folder.join(format!("{index}.log"));
    let file = fs::File::create(&log).unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(
            args.iter()
                .map(|arg| arg.replace("$(JOB_COMPLETION_INDEX)", &index.to_string())),
        )
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .status()
        .unwrap();
    assert!(status.success(), "{}", fs::read_to_string(&log).unwrap());
    log
}

#[test]
fn its_pods_begin_together_and_their_reports_are_merged() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let via = relay(standin.local_addr(), |_| ());
    let text = fs::read_to_string(JOB).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let job = &documents[0];
    // Time for both processes to come up on a busy machine.
    let start = humantime::format_rfc3339_seconds(SystemTime::now() + Duration::from_secs(6));
    let args: Vec<String> = job["spec"]["template"]["spec"]["containers"][0]["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arg| {
            arg.as_str()
                .unwrap()
                .replace("$(LIVE_STORE):9095", &standin.local_addr().to_string())
                .replace("$(LIVE_STORE):12345", &via.to_string())
                .replace("$(START_AT)", &start.to_string())
                .replace("--duration=60s", "--duration=1s")
        })
        .collect();

    let folder = tempfile::tempdir().unwrap();
    let logs: Vec<_> = std::thread::scope(|scope| {
        let pods = [0, 1].map(|index| {
            let (args, folder) = (&args, folder.path());
            scope.spawn(move || pod(args, index, folder))
        });
        pods.into_iter().map(|pod| pod.join().unwrap()).collect()
    });
    assert!(text.contains(REPORT_OF_A_LOG));
    let reports: Vec<_> = logs
        .iter()
        .map(|log| {
            let json = log.with_extension("json");
            let line = format!(
                "{REPORT_OF_A_LOG} '{}' > '{}'",
                log.display(),
                json.display()
            );
            assert!(
                Command::new("sh")
                    .args(["-c", &line])
                    .status()
                    .unwrap()
                    .success()
            );
            json.to_str().unwrap().to_owned()
        })
        .collect();

    let output = loadtest(&["merge", &reports[0], &reports[1], "--json", "-"]);
    let (json, table) = words(&output);
    assert!(output.status.success(), "{table}");
    let merged: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(merged["merged"].as_array().unwrap().len(), 2);
    assert!(
        !json.contains("did not all run at the same time"),
        "{table}"
    );
}
