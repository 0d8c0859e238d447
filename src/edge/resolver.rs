//! Names to addresses: one look-up at a time for a name, shared by all who wait for it, on a few
//! threads of our own.
//!
//! `getaddrinfo` blocks, and can't be called off: a name server that does not answer keeps its thread,
//! and a descriptor for each server asked, for 10 s and more. So a look-up is nobody's own, and there
//! are never more than a few. No answer is kept beyond the look-up that found it.

mod pool;

use std::{
    future::{Future, poll_fn},
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use rustix::io::Errno;

use self::pool::Pool;

/// A look-up that has said nothing for so long may be asking a server that is gone, or a file that has
/// been replaced since: another one begins beside it, and the first answer of either is taken.
const SILENCE: Duration = Duration::from_secs(2);

/// Looks names up. Clones share everything; when the last one is dropped, idle threads end.
#[derive(Clone, Default)]
pub(crate) struct Resolver(Arc<Pool>);

/// Why a name has no address.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Unresolved {
    #[error("{0}")]
    Failed(Arc<io::Error>),
    #[error("it has no address")]
    Empty,
    #[error("it leads back to this process")]
    LeadsBack,
    #[error("the resolver does not answer")]
    Silent,
    #[error("no thread can be had to look it up: {0}")]
    NoThread(Arc<io::Error>),
}

impl Unresolved {
    /// What the system says, where it is that which failed.
    pub(crate) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Failed(error) | Self::NoThread(error) => Errno::from_io_error(error),
            Self::Empty | Self::LeadsBack | Self::Silent => None,
        }
    }
}

type Answer = Result<Arc<[SocketAddr]>, Unresolved>;

impl Resolver {
    /// The addresses of a name with this port, at least one, in the resolver's order. `sleep` waits
    /// for a moment: workers have no timers.
    ///
    /// # Errors
    /// It has none, nobody knows until `deadline`, or no thread can be had.
    pub(crate) async fn resolve<S: Future<Output = ()>>(
        &self,
        host: &str,
        port: u16,
        deadline: Instant,
        sleep: impl Fn(Instant) -> S,
    ) -> Result<Vec<SocketAddr>, Unresolved> {
        let (number, mut answer) = self.0.join(host)?;
        loop {
            let until = deadline.min(Instant::now() + SILENCE);
            let said = before(sleep(until), answer.wait_for(Option::is_some)).await;
            match said {
                Some(Ok(said)) => {
                    let addresses = said.clone().unwrap_or(Err(Unresolved::Empty))?;
                    let mut addresses = addresses.to_vec();
                    addresses
                        .iter_mut()
                        .for_each(|address| address.set_port(port));
                    return Ok(addresses);
                }
                // Its thread is gone: the process ends.
                Some(Err(_)) => return Err(Unresolved::Silent),
                None if Instant::now() >= deadline => return Err(Unresolved::Silent),
                None => self.0.urge(host, number),
            }
        }
    }

    /// The address of the last connection to this name.
    pub(crate) fn last(&self, host: &str) -> Option<IpAddr> {
        self.0.shared.lock().last.get(host).copied()
    }

    /// Notes that a connection to this name stands.
    pub(crate) fn reached(&self, host: &str, address: SocketAddr) {
        let mut state = self.0.shared.lock();
        match state.last.get_mut(host) {
            Some(last) => *last = address.ip(),
            None => drop(state.last.insert(host.into(), address.ip())),
        }
    }
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// Runs `future` until `sleep` is over; what is done by then counts, however late this is asked.
pub(crate) async fn before<F: Future>(
    sleep: impl Future<Output = ()>,
    future: F,
) -> Option<F::Output> {
    let (mut sleep, mut future) = (pin!(sleep), pin!(future));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await
}
