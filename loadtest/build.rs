//! Generates the messages and services from `proto/`, without `protoc`.

use std::error::Error;

const PROTOS: [&str; 3] = ["tempo.proto", "health.proto", "stream.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    tonic_prost_build::configure()
        .bytes(".")
        .btree_map(".") // one order, so that equal messages have equal bytes
        .emit_rerun_if_changed(false)
        .include_file("proto.rs")
        .compile_fds(descriptors)?;
    Ok(())
}
