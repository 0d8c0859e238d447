//! One thread with its own runtime, pools and connections; it shares nothing but its counters.

use std::{
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::Instant,
};

use tokio::{
    runtime::{Builder, LocalOptions, LocalRuntime},
    sync::{Notify, mpsc, oneshot},
};
use tracing::warn;

use super::{
    alarms::Alarms,
    buffer::BufferPool,
    connection::{self, Accepted},
    context::Context,
    pipe::PipePool,
    relay::Pools,
};
use crate::{
    account::{live::LiveTable, metrics::WorkerMetrics, outcome::Reason, row::Row},
    config::{Config, Sched},
    edge::{admission::Admission, dial::Dialer, retry::Outage},
    sys,
};

/// What a worker is told from outside.
pub(crate) enum Command {
    /// Serve a connection.
    Serve(Accepted),
    /// Time has passed; [`Due`] says what is to be done. A timer in the worker's own runtime would
    /// read the clock at every wake-up.
    Tick,
    /// End every connection, and whatever is yet to be served.
    Cut(Reason),
    /// Show up to `limit` connections from serial number `first` on.
    Show {
        /// The least serial number.
        first: u64,
        /// A few: the worker serves nobody meanwhile.
        limit: usize,
        /// Takes the rows.
        reply: oneshot::Sender<Vec<Row>>,
    },
}

/// A running worker, as the others see it.
pub(crate) struct Worker {
    commands: mpsc::UnboundedSender<Command>,
    due: Arc<Due>,
    pub(crate) metrics: Arc<WorkerMetrics>,
}

/// What a worker is to do at its next tick. There is one tick before it at most: those that it was
/// not told while it was held up would only tell it of one stretch of time again and again.
#[derive(Default)]
struct Due(AtomicU8);

impl Due {
    const ALARMS: u8 = 1;
    const SWEEP: u8 = 2;

    /// Adds to what is due, and says whether nothing was.
    fn add(&self, what: u8) -> bool {
        self.0.fetch_or(what, Ordering::AcqRel) == 0
    }

    /// Whether a sweep is due, beside the alarms; and nothing is any more.
    fn take(&self) -> bool {
        self.0.swap(0, Ordering::AcqRel) & Self::SWEEP != 0
    }
}

impl Worker {
    /// Starts the thread. It ends when this is dropped.
    ///
    /// # Errors
    /// The thread or its runtime can't be made.
    pub(crate) fn start(seed: Seed) -> io::Result<Self> {
        let id = seed.id;
        let failed = |error: io::Error| {
            let said = format!("can't start the thread worker-{id}: {error}");
            io::Error::new(error.kind(), said)
        };
        let (commands, inbox) = mpsc::unbounded_channel();
        let metrics = Arc::clone(&seed.metrics);
        let due = Arc::<Due>::default();
        let told = Arc::clone(&due);
        let (started, outcome) = std::sync::mpsc::sync_channel(1);
        thread::Builder::new().name(format!("worker-{}", seed.id)).spawn(move || {
            let _ended = Ended { id: seed.id, ended: seed.ended.clone() };
            if seed.config.sched == Sched::Batch
                && let Err(error) = sys::schedule_as_batch()
            {
                warn!(worker = seed.id, %error, "--sched batch is refused here; going on as normal");
            }
            match seed.runtime() {
                Ok(runtime) => {
                    drop(started.send(Ok(())));
                    runtime.block_on(run(Rc::new(seed.grow()), inbox, &told));
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })
        .map_err(failed)?;
        let started = outcome.recv().map_err(io::Error::other);
        started.and_then(|started| started).map_err(failed)?;
        Ok(Self {
            commands,
            due,
            metrics,
        })
    }

    /// Tells the worker that time has passed: that alarms may be due and, with `sweep`, that it is to
    /// look after its connections and pools.
    pub(crate) fn tick(&self, sweep: bool) {
        let what = if sweep { Due::SWEEP } else { Due::ALARMS };
        if self.due.add(what) {
            self.tell(Command::Tick);
        }
    }

    /// Tells the worker something.
    pub(crate) fn tell(&self, command: Command) {
        // A worker that does not hear has ended, and the server with it.
        drop(self.commands.send(command));
    }
}

/// Says that a worker's thread has ended: while the server runs, only a bug makes it do so.
struct Ended {
    id: usize,
    ended: mpsc::UnboundedSender<usize>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.ended.send(self.id).ok();
    }
}

async fn run(context: Rc<Context>, mut inbox: mpsc::UnboundedReceiver<Command>, due: &Due) {
    while let Some(command) = inbox.recv().await {
        match command {
            Command::Serve(accepted) => {
                tokio::task::spawn_local(connection::serve(accepted, Rc::clone(&context)));
            }
            Command::Tick => {
                let sweep = due.take();
                context.tick(Instant::now(), sweep);
            }
            Command::Cut(reason) => context.cut_all(reason),
            Command::Show {
                first,
                limit,
                reply,
            } => drop(reply.send(context.show(first, limit))),
        }
    }
}

/// What crosses into the thread, to become its [`Context`] there.
pub(crate) struct Seed {
    /// Its place among the workers.
    pub(crate) id: usize,
    pub(crate) config: Arc<Config>,
    /// Pipes that it may hold.
    pub(crate) max_pipes: usize,
    pub(crate) metrics: Arc<WorkerMetrics>,
    pub(crate) admission: Arc<Admission>,
    /// Resolves names, too: a worker may not wait for a name server.
    pub(crate) dialer: Dialer,
    /// Wakes the ticker when the first alarm is set.
    pub(crate) alarm_set: Arc<Notify>,
    /// Hears of the worker's end.
    pub(crate) ended: mpsc::UnboundedSender<usize>,
}

impl Seed {
    /// A runtime without timers: see [`Command::Tick`].
    fn runtime(&self) -> io::Result<LocalRuntime> {
        let mut builder = Builder::new_current_thread();
        builder.enable_io();
        if self.config.sample_delay {
            let metrics = Arc::clone(&self.metrics);
            builder.on_thread_unpark(move || metrics.delay.woke());
        }
        builder.build_local(LocalOptions::default())
    }

    fn grow(self) -> Context {
        let relay = &self.config.relay;
        let pools = Pools {
            engine: relay.engine,
            buffers: BufferPool::new(relay.buffer_size),
            pipes: PipePool::new(self.max_pipes, relay.pipe_size),
        };
        let outages = self.config.forwards.iter().map(|_| Outage::default());
        Context {
            id: self.id,
            outages: outages.collect(),
            config: self.config,
            pools,
            table: LiveTable::default(),
            alarms: Alarms::new(Arc::clone(&self.metrics), self.alarm_set),
            metrics: self.metrics,
            admission: self.admission,
            dialer: self.dialer,
        }
    }
}
