//! Where log lines go: through a bounded queue to standard error, written by a thread of its own,
//! so that a full pipe behind it delays nobody. What does not fit is dropped and counted.

use std::{io, sync::OnceLock};

use tracing::Level;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Layer, Registry, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config::{LogConfig, LogFormat};

/// Lines that may wait to be written.
const QUEUE: usize = 4096;

/// Keeps the log alive; what still waits is written when it is dropped.
pub struct Logs {
    _guard: WorkerGuard,
}

/// The process's logger is one, and so is the count of what it dropped.
static DROPS: OnceLock<ErrorCounter> = OnceLock::new();

/// Lines that were dropped because the queue was full.
#[must_use]
pub fn dropped() -> usize {
    DROPS.get().map_or(0, ErrorCounter::dropped_lines)
}

/// Installs the process's logger.
///
/// # Panics
/// If there is one already.
#[must_use]
pub fn init(config: &LogConfig) -> Logs {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(QUEUE)
        .thread_name("log")
        .finish(io::stderr());
    DROPS.get_or_init(|| writer.error_counter());
    // --access-log alone decides on the records of connections.
    let filter = Targets::new()
        .with_default(Level::from(config.level))
        .with_target("access", Level::INFO);
    Registry::default()
        .with(lines(config.format, writer).with_filter(filter))
        .init();
    Logs { _guard: guard }
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
