//! The `portamento` binary.

fn main() {}
