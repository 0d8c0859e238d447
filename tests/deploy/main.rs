//! What is under `deploy/`, and the pages on it, held against the binary itself: units and image run,
//! documented sequences are carried out, and manifests, dashboards, alerts and every command line
//! that the documents show name nothing that does not exist.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod machine;
mod namespace;
mod queriers;

mod alerts;
mod container;
mod documents;
mod image;
mod job;
mod kubernetes;
mod manifests;
mod migrating;
mod observability;
mod operations;
mod pages;
mod pod_security;
mod promql;
mod release;
mod stories;
mod systemd;

use std::{fs, path::PathBuf};

use serde_json::Value;

/// A file of this repository.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a YAML file.
fn yaml(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What `/proc/PID/status` says under a key.
fn status_value(status: &str, key: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.unwrap().trim_start_matches(':').trim().to_owned()
}
