//! The load generator of portamento.

pub mod cli;
pub mod client;
pub mod origin;
pub mod pattern;
pub mod proto;
pub mod seed;
pub mod serve;
mod snappy;
pub mod standin;

pub use self::client::{Call, ClientConfig, ClientTls, QuerierChannel, QuerierClient};
pub use self::standin::{StandIn, StandInConfig, TlsIdentity, TraceId};
