//! What happens where a byte enters and leaves: who may connect, and how the upstream is reached.

pub(crate) mod access;
pub(crate) mod options;
pub(crate) mod upstream;
