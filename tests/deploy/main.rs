//! What is deployed beside the binary, held against the binary itself: manifests, dashboards,
//! alerts, and every command line that the documents show.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod kubernetes;
mod manifests;
mod observability;
mod pod_security;
mod promql;
mod stories;

use std::{fs, path::PathBuf};

use serde_json::Value;

/// A file of this repository.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A program from where `.ci/run` puts those of PyPI, else from `PATH`.
fn tool(name: &str) -> PathBuf {
    let own = repository("target/tools/bin").join(name);
    if own.exists() { own } else { name.into() }
}

/// The documents of a YAML file.
fn yaml(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
