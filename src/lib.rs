//! A minimal L4 TCP forwarder: it listens on one port, connects to another, and moves bytes.
//!
//! The binary is thin: [`cli::Args`] is what the user typed, [`config::Config`] what of it is valid,
//! [`server::Server`] binds and runs. To read how a byte is forwarded, follow `path/` in this order:
//!
//! 1. `listener` accepts a connection, on the control runtime.
//! 2. `dispatch` hands it to the least-loaded worker.
//! 3. `worker` is a thread with its own runtime; it spawns a task.
//! 4. `connection` reaches the upstream (`edge/upstream`), relays, and closes both sockets.
//! 5. `relay` polls both directions; each copies through a `buffer` or splices through a `pipe`,
//!    between two `socket`s.
//! 6. `account/record` says who ended the connection and why, once.
//!
//! Beside that path, `control/` steers the process: ticks, signals, the drain. [`check`] is a
//! command of its own, and runs in no forwarding process.

pub mod check;
pub mod cli;
pub mod config;
pub mod control;
pub mod logging;
pub mod server;

mod account;
mod edge;
mod path;
mod sys;

pub use account::metrics::Totals;
