//! News for a service manager, over `NOTIFY_SOCKET`: sd_notify(3).
//!
//! They are sent from the thread that accepts, answers `/live` and hears signals. So nothing here
//! waits for whoever should read them: what must arrive is tried again, the rest is dropped.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    env,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    process,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sendto, socket_with},
};
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep},
};
use tracing::{error, warn};

/// How often what must arrive is tried again, while the manager's queue is full.
const AGAIN: Duration = Duration::from_millis(100);

/// How often the watchdog is fed at most: one that wants more would cost more than it guards.
const SOONEST: Duration = Duration::from_millis(10);

/// A service manager that wants to hear how it goes; or nobody.
pub struct Notifier {
    outlet: Option<Outlet>,
    /// What must arrive and has not been taken yet, in its order.
    owed: RefCell<VecDeque<&'static str>>,
    owes: Notify,
    /// Something was not taken, which is said once.
    warned: Cell<bool>,
}

/// A socket that never waits, and where to send to.
struct Outlet {
    socket: OwnedFd,
    manager: SocketAddrUnix,
}

impl Notifier {
    /// The one that `NOTIFY_SOCKET` names. One that can't be reached is warned of, once.
    #[must_use]
    pub fn from_env() -> Self {
        let name = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let mut notifier = Self {
            outlet: None,
            owed: RefCell::default(),
            owes: Notify::new(),
            warned: Cell::new(false),
        };
        match name.map(|name| Outlet::to(name.as_bytes())) {
            Some(Ok(outlet)) => notifier.outlet = Some(outlet),
            Some(Err(error)) => notifier.warn(error),
            None => {}
        }
        notifier
    }

    /// Says that clients are let in.
    pub fn ready(&self) {
        self.owe("READY=1");
    }

    /// Says that the end has begun.
    pub fn stopping(&self) {
        self.owe("STOPPING=1");
    }

    /// Says that the end takes so much longer, and that this is meant to be.
    pub fn extend(&self, time: Duration) {
        self.tell(&format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()));
    }

    /// Sends what is owed, and feeds the watchdog while `stuck` names no worker that is: a process
    /// with one is to be restarted. Never ends.
    pub async fn run(&self, stuck: impl Fn() -> Option<usize>) {
        tokio::join!(self.pay(), self.feed_watchdog(stuck));
    }

    async fn pay(&self) {
        loop {
            self.owes.notified().await;
            while self.settle() == Err(Full) {
                sleep(AGAIN).await;
            }
        }
    }

    async fn feed_watchdog(&self, stuck: impl Fn() -> Option<usize>) {
        if self.outlet.is_none() {
            return;
        }
        let of = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let (usec, pid) = (of("WATCHDOG_USEC"), of("WATCHDOG_PID"));
        let period = watchdog_period(usec.as_deref(), pid.as_deref(), process::id());
        let period = period.unwrap_or_else(|NoTime| {
            warn!(
                WATCHDOG_USEC = usec,
                "no number of microseconds: the watchdog is not fed"
            );
            None
        });
        let Some(period) = period else {
            return;
        };
        let mut ticks = interval(pace(period));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match stuck() {
                None => self.tell("WATCHDOG=1"),
                Some(worker) => error!(worker, "a worker is stuck; the watchdog is not fed"),
            }
        }
    }

    /// Says what must arrive: now, or as soon as there is room.
    fn owe(&self, news: &'static str) {
        self.owed.borrow_mut().push_back(news);
        if self.settle() == Err(Full) {
            self.owes.notify_one();
        }
    }

    /// Sends what is owed, as far as there is room. What fails for another reason would fail again.
    fn settle(&self) -> Result<(), Full> {
        let mut owed = self.owed.borrow_mut();
        while let Some(news) = owed.front() {
            match self.send(news) {
                Err(error) if is_full(error) => return Err(Full),
                Ok(()) | Err(_) => drop(owed.pop_front()),
            }
        }
        Ok(())
    }

    /// Says what may get lost: there is more of it to come. It overtakes nothing.
    fn tell(&self, news: &str) {
        if self.owed.borrow().is_empty() {
            self.send(news).ok(); // it was warned of
        }
    }

    fn send(&self, news: &str) -> Result<(), Errno> {
        let Some(outlet) = &self.outlet else {
            return Ok(());
        };
        let sent = outlet.send(news.as_bytes());
        sent.inspect_err(|error| self.warn(*error))
    }

    fn warn(&self, error: Errno) {
        if !self.warned.replace(true) {
            warn!(%error, "the service manager at NOTIFY_SOCKET does not take all that it is told");
        }
    }
}

/// The manager has not read what it was told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Full;

fn is_full(error: Errno) -> bool {
    [Errno::AGAIN, Errno::INTR, Errno::NOBUFS, Errno::NOMEM].contains(&error)
}

impl Outlet {
    /// `/PATH`, or `@NAME` of an abstract socket.
    fn to(name: &[u8]) -> Result<Self, Errno> {
        let manager = match name {
            [b'/', ..] => SocketAddrUnix::new(name)?,
            [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name)?,
            _ => return Err(Errno::AFNOSUPPORT),
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        Ok(Self { socket, manager })
    }

    fn send(&self, news: &[u8]) -> Result<(), Errno> {
        // By name each time: a manager that was started anew has another socket there.
        sendto(&self.socket, news, SendFlags::NOSIGNAL, &self.manager).map(drop)
    }
}

/// What should be a time is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NoTime;

/// Within what time this process has to feed the watchdog, if it has; see sd_watchdog_enabled(3).
fn watchdog_period(
    usec: Option<&str>,
    pid: Option<&str>,
    own: u32,
) -> Result<Option<Duration>, NoTime> {
    let meant = pid.is_none_or(|pid| pid.parse() == Ok(own));
    let Some(usec) = usec.filter(|usec| meant && !usec.is_empty()) else {
        return Ok(None);
    };
    let period = Duration::from_micros(usec.parse().map_err(|_| NoTime)?);
    Ok((!period.is_zero()).then_some(period))
}

/// How often a watchdog is fed that wants to be fed within `period`.
fn pace(period: Duration) -> Duration {
    (period / 3).max(SOONEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_is_fed_thrice_as_often_as_it_wants_but_in_no_frenzy() {
        for (period, expected) in [(10_000, 3333), (30, 10), (29, 10), (1, 10)] {
            let paced = pace(Duration::from_millis(period));
            assert_eq!(paced.as_millis(), expected, "{period}");
        }
        assert_eq!(pace(Duration::from_micros(1)), SOONEST);
    }

    #[test]
    fn the_watchdog_is_fed_by_the_process_that_is_meant() {
        let second = Ok(Some(Duration::from_secs(1)));
        let never = Ok(None);
        for (usec, pid, period) in [
            (Some("1000000"), None, second),
            (Some("1000000"), Some("7"), second),
            (Some("1000000"), Some("8"), never),
            (Some("1000000"), Some("seven"), never),
            (Some("soon"), Some("8"), never),
            (Some("0"), Some("7"), never),
            (Some(""), None, never),
            (Some("soon"), None, Err(NoTime)),
            (Some("-1"), Some("7"), Err(NoTime)),
            (None, Some("7"), never),
            (None, None, never),
        ] {
            assert_eq!(watchdog_period(usec, pid, 7), period, "{usec:?} {pid:?}");
        }
    }

    #[test]
    fn a_name_that_is_neither_a_path_nor_abstract_is_none() {
        for name in ["notify", "vsock:2:1234", "./notify"] {
            let outlet = Outlet::to(name.as_bytes());
            assert_eq!(outlet.err(), Some(Errno::AFNOSUPPORT), "{name}");
        }
        assert!(Outlet::to(b"@notify").is_ok());
        let long = format!("/{}", "n".repeat(200));
        assert!(Outlet::to(long.as_bytes()).is_err());
    }
}
