//! The generated messages and services: `tempopb`, `grpc.health.v1`, `portamento.test.v1`.

#![allow(
    missing_docs,
    unnameable_types,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::clone_on_ref_ptr,
    clippy::missing_errors_doc,
    reason = "generated code"
)]

include!(concat!(env!("OUT_DIR"), "/proto.rs"));
