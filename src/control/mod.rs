//! What steers the process: time, the end of it, and sockets that others pass on.

pub mod drain;
pub mod handover;
pub mod signals;
pub(crate) mod ticker;
