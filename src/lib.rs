//! A minimal L4 TCP forwarder.

pub mod config;
