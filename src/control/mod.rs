//! What steers the process: time, the end of it, and sockets that others pass on.

pub(crate) mod admin;
pub mod drain;
pub mod handover;
pub(crate) mod probe;
pub mod signals;
pub(crate) mod ticker;
