//! The load generator of portamento.

pub mod cli;
pub mod client;
pub mod origin;
pub mod overhead;
pub mod pattern;
mod process;
pub mod proto;
pub mod report;
pub mod seed;
pub mod serve;
mod snappy;
pub mod standin;
mod stats;
mod units;

pub use self::client::{Call, ClientConfig, ClientTls, QuerierChannel, QuerierClient};
pub use self::standin::{StandIn, StandInConfig, TlsIdentity, TraceId};
