//! What a failed accept(2) calls for.

use std::{
    io,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use tracing::error;

use crate::sys::errno_name;

/// What a failed accept(2) is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AcceptError {
    /// This one connection, which is gone: the next, at once.
    Connection(Errno),
    /// Descriptors or memory, which others may give back, or a rule (a firewall's, a sandbox's),
    /// which others may lift: the connection waits. The next try, after a pause.
    Circumstances(Errno),
    /// The listener itself.
    Listener,
}

impl AcceptError {
    pub(super) fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            // accept(2): Linux passes network errors that are already pending on as its own.
            Some(
                errno @ (Errno::CONNABORTED
                | Errno::INTR
                | Errno::PROTO
                | Errno::NETDOWN
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::NONET
                | Errno::HOSTUNREACH
                | Errno::OPNOTSUPP
                | Errno::NETUNREACH
                | Errno::TIMEDOUT),
            ) => Self::Connection(errno),
            // It does not listen any more, or is no socket of ours: that does not get better.
            Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK) | None => Self::Listener,
            // EMFILE, ENFILE, ENOBUFS, ENOMEM; EPERM, EACCES, ENOSYS and what else a filter of
            // system calls may answer. Whatever else there is, is survived as well.
            Some(errno) => Self::Circumstances(errno),
        }
    }
}

/// The pause after an accept that failed: it doubles until one succeeds.
#[derive(Default)]
pub(super) struct Pause {
    last: Option<Duration>,
    /// Connections that were gone, one after the other.
    gone: u32,
    logged: Option<Instant>,
    unlogged: u64,
}

/// So many clients in a row may have hung up before they were accepted: a full backlog.
const GONE_AT_ONCE: u32 = 1024;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const LOG_EVERY: Duration = Duration::from_secs(1);

impl Pause {
    pub(super) fn reset(&mut self) {
        self.last = None;
        self.gone = 0;
    }

    /// Whether a connection that is gone calls for a pause: where each one is, for ever, something
    /// is wrong that no connection causes.
    pub(super) fn is_due(&mut self) -> bool {
        self.gone = self.gone.saturating_add(1);
        self.gone > GONE_AT_ONCE
    }

    pub(super) async fn wait(&mut self, errno: Errno) {
        let pause = self
            .last
            .map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        self.last = Some(pause);
        self.unlogged += 1;
        if self
            .logged
            .is_none_or(|logged| logged.elapsed() >= LOG_EVERY)
        {
            self.logged = Some(Instant::now());
            error!(
                errno = errno_name(errno),
                failures = self.unlogged,
                pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                "can't accept; clients wait in the backlog"
            );
            self.unlogged = 0;
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listener_that_cannot_accept_any_more_ends() {
        let of = |errno: Errno| AcceptError::of(&errno.into());
        for gone in [
            Errno::CONNABORTED,
            Errno::INTR,
            Errno::PROTO,
            Errno::NETDOWN,
        ] {
            assert_eq!(of(gone), AcceptError::Connection(gone));
        }
        for passing in [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::PERM,
            Errno::ACCESS,
            Errno::NOSYS,
            Errno::IO,
        ] {
            assert_eq!(of(passing), AcceptError::Circumstances(passing));
        }
        for last in [Errno::INVAL, Errno::BADF, Errno::NOTSOCK] {
            assert_eq!(of(last), AcceptError::Listener);
        }
    }

    #[test]
    fn connections_that_are_gone_call_for_a_pause_only_where_nothing_else_comes() {
        let mut pause = Pause::default();
        assert!((0..GONE_AT_ONCE).all(|_| !pause.is_due()));
        pause.reset(); // one was accepted
        assert!((0..GONE_AT_ONCE).all(|_| !pause.is_due()));
        assert!(pause.is_due());
    }
}
