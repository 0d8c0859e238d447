//! Where log lines go: through a bounded queue to standard error, written by a thread of its own,
//! so that a full pipe behind it delays nobody. What does not fit is dropped and counted, and so is
//! what can't be written.

mod lines;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io, panic,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{Level, error};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Layer, Registry, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt,
};

use self::lines::Lines;
use crate::config::{LogConfig, LogFormat};

/// Lines that may wait to be written.
const QUEUE: usize = 4096;

/// Keeps the log alive; what still waits is written when it is dropped.
pub struct Logs {
    _guard: WorkerGuard,
}

/// The process's logger is one, and so is the count of what it dropped.
static DROPS: OnceLock<ErrorCounter> = OnceLock::new();

/// Lines that standard error did not take.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Lines that were dropped because the queue was full, or standard error failed.
#[must_use]
pub fn dropped() -> u64 {
    let queued = DROPS.get().map_or(0, ErrorCounter::dropped_lines);
    queued as u64 + LOST.load(Ordering::Relaxed)
}

/// Installs the process's logger. Panics are logged as well: the standard library would write them to
/// standard error itself, and wait for whoever reads there.
///
/// # Errors
/// No thread is to be had.
///
/// # Panics
/// If there is one already.
pub fn init(config: &LogConfig) -> io::Result<Logs> {
    let (writer, guard) = start_writer()?;
    DROPS.get_or_init(|| writer.error_counter());
    // --access-log alone decides on the records of connections.
    let filter = Targets::new()
        .with_default(Level::from(config.level))
        .with_target("access", Level::INFO);
    Registry::default()
        .with(lines(config.format, writer).with_filter(filter))
        .init();
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture(); // where RUST_BACKTRACE asks for it
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
        error!(%panic, backtrace = backtrace.map(tracing::field::display), "panicked");
    }));
    Ok(Logs { _guard: guard })
}

/// Starts the thread that writes. Where none is to be had its maker panics, which is nobody's bug and
/// said to nobody.
fn start_writer() -> io::Result<(NonBlocking, WorkerGuard)> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let started = panic::catch_unwind(|| {
        NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(QUEUE)
            .thread_name("log")
            .finish(Lines::new(io::stderr(), &LOST))
    });
    panic::set_hook(hook);
    started.map_err(|_| {
        let said = "can't start the thread that writes the log: the limit on processes of this \
                    user (nproc) or cgroup (pids.max) is reached, or there is no memory";
        io::Error::new(io::ErrorKind::WouldBlock, said)
    })
}

fn lines(format: LogFormat, writer: NonBlocking) -> Box<dyn Layer<Registry> + Send + Sync> {
    match format {
        LogFormat::Logfmt => Box::new(
            tracing_logfmt::builder()
                .with_span_name(false)
                .with_span_path(false)
                .layer()
                .with_writer(writer),
        ),
        LogFormat::Json => Box::new(
            tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .with_writer(writer),
        ),
    }
}
