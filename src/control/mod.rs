//! What steers the process: time, signals, the end of it, and who started it.

pub(crate) mod admin;
pub mod drain;
pub mod handover;
pub mod notify;
pub(crate) mod probe;
pub mod signals;
pub(crate) mod ticker;
