//! The JSON's schema, as it is checked in.

use std::path::Path;

/// Where it is, from this package.
pub(crate) const SCHEMA: &str = "../docs/report.schema.json";

/// Fails unless the report `json` is as the schema says.
pub(crate) fn is_valid(json: &[u8]) {
    let schema = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(SCHEMA)).unwrap();
    let schema = serde_json::from_slice(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let report = serde_json::from_slice(json).unwrap();
    if let Err(error) = validator.validate(&report) {
        panic!("{error}, at {}", error.instance_path());
    }
}
