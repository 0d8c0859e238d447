//! Deadlines without a timer in the worker's runtime, which would read the clock at every wake-up.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
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
    set: RefCell<BTreeMap<Key, Waker>>,
    /// Alarms ever set; the last one's number.
    serial: Cell<u64>,
    /// The time of the last tick.
    now: Cell<Option<Instant>>,
    metrics: Arc<WorkerMetrics>,
    /// Tells the ticker of the first alarm.
    alarm_set: Arc<Notify>,
}

/// The deadline, and a number that tells alarms of the same moment apart.
type Key = (Instant, u64);

impl Alarms {
    pub(crate) fn new(metrics: Arc<WorkerMetrics>, alarm_set: Arc<Notify>) -> Self {
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
        let key = (deadline, number);
        self.set.borrow_mut().insert(key, waker);
        if self.publish() == 1 {
            self.alarm_set.notify_one();
        }
        AlarmGuard { key, alarms: self }
    }

    /// Wakes whoever's deadline has come, and looks at nobody else.
    pub(crate) fn ring(&self, now: Instant) {
        self.now.set(Some(now));
        let mut rung = false;
        while let Some(waker) = self.take_due(now) {
            waker.wake();
            rung = true;
        }
        if rung {
            self.publish();
        }
    }

    fn take_due(&self, now: Instant) -> Option<Waker> {
        let mut set = self.set.borrow_mut();
        let first = set.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
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
    key: Key,
    alarms: &'a Alarms,
}

impl Drop for AlarmGuard<'_> {
    fn drop(&mut self) {
        let unrung = self.alarms.set.borrow_mut().remove(&self.key);
        if unrung.is_some() {
            self.alarms.publish();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Future, pending},
        pin::Pin,
        task::Context,
        time::Duration,
    };

    use super::*;

    /// Polls, and says whether it is done.
    fn is_done<F: Future<Output = ()>>(future: &mut Pin<Box<F>>) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        future.as_mut().poll(&mut cx).is_ready()
    }

    #[test]
    fn those_that_are_due_ring_in_any_order_and_the_others_wait() {
        let metrics: Arc<WorkerMetrics> = Arc::default();
        let alarms = Alarms::new(Arc::clone(&metrics), Arc::default());
        let set = || metrics.alarms.load(Ordering::Relaxed);
        let begun = Instant::now();
        let at = |second| begun + Duration::from_secs(second);
        let mut waits: Vec<_> = [3, 1, 2, 1, 5]
            .map(|second| Box::pin(alarms.wait(at(second))))
            .into();
        assert_eq!(set(), 0);
        assert!(!waits.iter_mut().any(is_done));
        assert_eq!(set(), 5);

        alarms.ring(at(0));
        assert!(!waits.iter_mut().any(is_done));
        alarms.ring(at(2)); // late for some
        assert_eq!(set(), 2, "what has rung is set no more");
        let done: Vec<_> = waits.iter_mut().map(is_done).collect();
        assert_eq!(done, [false, true, true, true, false]);
        drop(waits);
        assert_eq!(set(), 0, "who has left is waited for no more");
    }

    #[test]
    fn what_is_done_when_its_alarm_rings_is_done() {
        let alarms = Alarms::new(Arc::default(), Arc::default());
        let (deadline, done) = (Instant::now(), Cell::new(false));
        let work = poll_fn(|_| match done.get() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        let mut in_time =
            Box::pin(async { assert_eq!(alarms.bound(deadline, work).await, Some(())) });
        let mut late =
            Box::pin(async { assert_eq!(alarms.bound(deadline, pending::<()>()).await, None) });
        assert!(!is_done(&mut in_time) && !is_done(&mut late));
        done.set(true);
        alarms.ring(deadline);
        assert!(is_done(&mut in_time) && is_done(&mut late));
    }
}
