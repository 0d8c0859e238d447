//! One thread with its own runtime, pools and connections; it shares nothing but its counters.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    pin::pin,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    task::{Poll, Waker},
    thread,
    time::Instant,
};

use tokio::{
    runtime::{Builder, Handle, LocalOptions, LocalRuntime},
    sync::{Notify, mpsc, oneshot},
};
use tracing::warn;

use super::{
    buffer::BufferPool,
    connection::{self, Accepted},
    pipe::PipePool,
    relay::Pools,
};
use crate::{
    account::{
        live::{ClientPeer, Live, LiveTable},
        metrics::WorkerMetrics,
        record::Reason,
        row::Row,
    },
    config::{Config, Sched},
    sys,
};

/// What a worker is told from outside.
pub(crate) enum Command {
    /// Serve a connection.
    Serve(Accepted),
    /// Time passes. A timer in the worker's own runtime would read the clock at every wake-up.
    Tick {
        /// The time of the tick.
        now: Instant,
        /// Look after the connections and pools as well, not just the alarms.
        sweep: bool,
    },
    /// End every connection.
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
    pub(crate) metrics: Arc<WorkerMetrics>,
}

impl Worker {
    /// Starts the thread. It ends when this is dropped.
    ///
    /// # Errors
    /// The thread or its runtime can't be made.
    pub(crate) fn start(seed: Seed) -> io::Result<Self> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let metrics = Arc::clone(&seed.metrics);
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
                    runtime.block_on(run(Rc::new(seed.grow()), inbox));
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })?;
        outcome.recv().map_err(io::Error::other)??;
        Ok(Self { commands, metrics })
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

async fn run(context: Rc<Context>, mut inbox: mpsc::UnboundedReceiver<Command>) {
    while let Some(command) = inbox.recv().await {
        match command {
            Command::Serve(accepted) => {
                tokio::task::spawn_local(connection::serve(accepted, Rc::clone(&context)));
            }
            Command::Tick { now, sweep } => context.tick(now, sweep),
            Command::Cut(reason) => context.table.cut_all(reason),
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
    /// The control runtime, whose threads may wait for a name server.
    pub(crate) resolver: Handle,
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
        Context {
            id: self.id,
            config: self.config,
            pools,
            table: LiveTable::default(),
            alarms: Alarms::new(Arc::clone(&self.metrics), self.alarm_set),
            metrics: self.metrics,
            resolver: self.resolver,
        }
    }
}

/// What the connections of a worker share.
pub(crate) struct Context {
    pub(crate) id: usize,
    pub(crate) config: Arc<Config>,
    pub(crate) pools: Pools,
    pub(crate) alarms: Alarms,
    pub(crate) resolver: Handle,
    table: LiveTable,
    metrics: Arc<WorkerMetrics>,
}

impl Context {
    /// Enters a connection in the worker's table.
    pub(crate) fn enter(&self, client: ClientPeer, opened: Instant) -> Entry<'_> {
        let live = self.table.enter(
            client,
            opened,
            &self.config.timeouts,
            Arc::clone(&self.metrics),
        );
        Entry {
            live,
            context: self,
        }
    }

    fn tick(&self, now: Instant, sweep: bool) {
        self.alarms.ring(now);
        if sweep {
            self.table.sweep(now, &self.config.timeouts);
            self.pools.buffers.trim();
            self.pools.pipes.trim();
            self.metrics.delay.soon();
            self.metrics.pulse.pass(now);
            self.publish_pipes();
        }
    }

    fn show(&self, first: u64, limit: usize) -> Vec<Row> {
        let page = self.table.page(first, limit);
        page.iter().map(|live| Row::of(live, self.id)).collect()
    }

    fn publish_pipes(&self) {
        let (pool, counts) = (&self.pools.pipes, &self.metrics.pipes);
        counts.alive.store(pool.alive(), Ordering::Relaxed);
        counts.free.store(pool.free(), Ordering::Relaxed);
        if pool.granted() > 0 {
            counts.granted.store(pool.granted(), Ordering::Relaxed);
        }
    }
}

/// A connection's row in the table of its worker, for as long as it lives.
pub(crate) struct Entry<'a> {
    live: Rc<Live>,
    context: &'a Context,
}

impl Entry<'_> {
    pub(crate) fn live(&self) -> Rc<Live> {
        Rc::clone(&self.live)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.context.table.leave(&self.live);
        // The dispatcher counted it in.
        self.context
            .metrics
            .connections
            .fetch_sub(1, Ordering::Release);
    }
}

/// Deadlines of the few connections that wait for something other than bytes. They ring at the
/// ticks, which come faster while an alarm is set.
pub(crate) struct Alarms {
    set: RefCell<Vec<Alarm>>,
    /// Alarms ever set; the last one's number.
    serial: Cell<u64>,
    /// The time of the last tick.
    now: Cell<Option<Instant>>,
    metrics: Arc<WorkerMetrics>,
    /// Tells the ticker of the first alarm.
    alarm_set: Arc<Notify>,
}

struct Alarm {
    number: u64,
    deadline: Instant,
    waker: Waker,
}

impl Alarms {
    fn new(metrics: Arc<WorkerMetrics>, alarm_set: Arc<Notify>) -> Self {
        let (serial, now) = (Cell::new(0), Cell::new(None));
        Self {
            set: RefCell::default(),
            serial,
            now,
            metrics,
            alarm_set,
        }
    }

    /// Waits for the first tick at or after `deadline`.
    pub(crate) async fn wait(&self, deadline: Instant) {
        self.bound(deadline, std::future::pending::<()>()).await;
    }

    /// Runs `future` until the first tick at or after `deadline`; `None` if it was not done then.
    pub(crate) async fn bound<F: Future>(&self, deadline: Instant, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut guard = None;
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            if guard.is_none() {
                guard = Some(self.set(deadline, cx.waker().clone()));
            } else if self.now.get().is_some_and(|now| now >= deadline) {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    fn set(&self, deadline: Instant, waker: Waker) -> AlarmGuard<'_> {
        let number = self.serial.get() + 1;
        self.serial.set(number);
        self.set.borrow_mut().push(Alarm {
            number,
            deadline,
            waker,
        });
        if self.publish() == 1 {
            self.alarm_set.notify_one();
        }
        AlarmGuard {
            number,
            alarms: self,
        }
    }

    /// Wakes whoever's deadline has come.
    fn ring(&self, now: Instant) {
        self.now.set(Some(now));
        for alarm in self
            .set
            .borrow()
            .iter()
            .filter(|alarm| alarm.deadline <= now)
        {
            alarm.waker.wake_by_ref();
        }
    }

    /// Lets the ticker know how many are set.
    fn publish(&self) -> usize {
        let count = self.set.borrow().len();
        self.metrics.alarms.store(count, Ordering::Release);
        count
    }
}

/// Takes an alarm back when whatever it bounds is done.
struct AlarmGuard<'a> {
    number: u64,
    alarms: &'a Alarms,
}

impl Drop for AlarmGuard<'_> {
    fn drop(&mut self) {
        self.alarms
            .set
            .borrow_mut()
            .retain(|alarm| alarm.number != self.number);
        self.alarms.publish();
    }
}
