//! What the benches of the forwarder share.

pub(crate) mod environment;
pub(crate) mod hop;
