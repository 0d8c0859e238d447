//! The load generator of portamento, and what its tests and benches need on the other side.
//!
//! - [`StandIn`] stands in for a Tempo live-store: the gRPC calls of a querier, answered from a
//!   seed, so that one read has the same bytes on every way. [`QuerierClient`] makes the calls, with
//!   tenant and snappy as Tempo's own client has them. `loadtest serve` is the same as a process.
//! - [`overhead`] asks what a proxy costs those calls: direct and through it, in turns.
//! - [`origin`] has plain TCP servers, [`pattern`] bytes that can be checked at any offset.
//!
//! ```
//! use loadtest::{ClientConfig, QuerierClient, StandIn, StandInConfig, TraceId};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let standin = StandIn::start(StandInConfig::default())?; // a free port of 127.0.0.1
//! let client = QuerierClient::connect(ClientConfig::new(standin.local_addr())).await?;
//! let answer = client.find_trace(TraceId::sized(64 * 1024, 1)).await?;
//! assert!(answer.len() <= 64 * 1024);
//! # Ok(())
//! # }
//! ```

pub mod cli;
pub mod client;
pub mod compare;
pub mod connections;
pub mod fail_if;
pub mod latency;
pub mod merge;
pub mod origin;
pub mod output;
pub mod overhead;
pub mod pattern;
mod process;
pub mod proto;
pub mod report;
pub mod seed;
pub mod serve;
mod snappy;
pub mod soak;
pub mod standin;
mod stats;
pub mod tcp;
pub mod throughput;
mod units;
mod warning;

pub use self::client::{Call, ClientConfig, ClientTls, QuerierChannel, QuerierClient};
pub use self::standin::{StandIn, StandInConfig, TlsIdentity, TraceId};
