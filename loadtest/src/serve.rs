//! `loadtest serve`: the stand-in as a process.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ServeArgs;
use crate::standin::{StandIn, StandInConfig};

/// What the ready line starts with; the bound address follows.
pub const READY: &str = "listening on ";

/// Serves until SIGINT or SIGTERM, then lets the calls in flight finish for up to 5 s.
///
/// # Errors
/// When it cannot listen.
pub fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let standin = StandIn::start(StandInConfig {
        listen: args.listen,
        seed: args.seed,
        ..StandInConfig::default()
    })?;
    until_told(standin.local_addr(), args.end_with_stdin)?;
    standin.stop(Duration::from_secs(5))
}

/// Says on stdout that a server listens on `addr`, then waits for SIGINT, SIGTERM or, where
/// `end_with_stdin`, the end of stdin.
///
/// # Errors
/// When stdout is closed, or signals cannot be waited for.
pub(crate) fn until_told(addr: SocketAddr, end_with_stdin: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let told = runtime.block_on(async {
        // Armed before the line that invites a signal.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{READY}{addr}")?;
        stdout.flush()?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = end_of_stdin(), if end_with_stdin => {}
        }
        io::Result::Ok(())
    });
    runtime.shutdown_background(); // a read of stdin may be under way on a thread
    told.context("cannot serve")
}

async fn end_of_stdin() {
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 64];
    while matches!(stdin.read(&mut ignored).await, Ok(1..)) {}
}
