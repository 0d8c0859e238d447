//! Deadlines without a timer in the worker's runtime, which would read the clock at every wake-up.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::{Poll, Waker},
    time::Instant,
};

use tokio::sync::Notify;

use crate::account::metrics::WorkerMetrics;

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
    pub(super) fn new(metrics: Arc<WorkerMetrics>, alarm_set: Arc<Notify>) -> Self {
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
    pub(super) fn ring(&self, now: Instant) {
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
