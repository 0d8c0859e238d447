//! The life of the process from outside: how it starts, what it is told and tells, and that whatever
//! stands around it neither stops it nor keeps it from ending.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod accept;
mod loops;
mod manager;
mod signals;
