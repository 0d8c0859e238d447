//! Connecting: to the address that answers first (RFC 8305), and never to oneself.

mod failure;

use std::{
    future::{Future, poll_fn},
    mem,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, connect},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{OwnedSemaphorePermit, Semaphore},
};

pub(crate) use self::failure::Failure;
use self::failure::decisive;
use super::{
    ephemeral::{EphemeralPorts, is_its_own_peer},
    resolver::{Family, Resolver, Unresolved, before},
};
use crate::{
    config::{ListenAddr, OwnAddresses, clash::accepts},
    path::socket,
    sys,
};

/// How long an address may be silent before the next one is tried beside it: the recommendation of
/// RFC 8305, section 5. A name's first connection alone waits for it, since the family that has
/// answered goes first from then on.
const STAGGER: Duration = Duration::from_millis(250);

/// How long those that are silent may take once another address has refused: a lost SYN is sent again
/// after a second.
const SILENT_BESIDE_REFUSED: Duration = Duration::from_millis(1500);

/// Connects of the whole process that may be under way beside another of the same connection. Each
/// takes a descriptor that `--max-connections` does not know of. Beyond them a silent address is given
/// up for the next one, after an even share of the time that is left.
const BESIDE: usize = 8;

/// What all connects of a process share.
#[derive(Clone)]
pub(crate) struct Dialer {
    resolver: Resolver,
    /// As of the start: whoever widens the range so that it takes in the upstream's port has to start
    /// this process anew, to have it look whom it is connected to. `None`: not known, so it looks.
    ephemeral: Option<EphemeralPorts>,
    /// Where this process listens: a name that leads there leads nowhere.
    listens: Arc<[ListenAddr]>,
    beside: Arc<Semaphore>,
}

impl Dialer {
    /// For a process that listens at these addresses.
    pub(crate) fn new(listens: Vec<ListenAddr>) -> Self {
        Self {
            resolver: Resolver::default(),
            ephemeral: EphemeralPorts::read(),
            listens: listens.into(),
            beside: Arc::new(Semaphore::new(BESIDE)),
        }
    }

    /// The addresses of a name, in the order in which they are to be tried. `sleep` waits for a moment.
    ///
    /// # Errors
    /// There are none, none but this process's own, or nobody knows of any within `bound`.
    pub(crate) async fn resolve<S: Future<Output = ()>>(
        &self,
        (host, port): (&str, u16),
        bound: Duration,
        sleep: impl Fn(Instant) -> S,
    ) -> Result<Vec<SocketAddr>, Unresolved> {
        let deadline = Instant::now() + bound;
        let mut addresses = self.resolver.resolve(host, port, deadline, sleep).await?;
        addresses.retain(|address| !self.leads_back(*address));
        Ok(match addresses.len() {
            0 => return Err(Unresolved::LeadsBack),
            1 => addresses,
            _ => interleaved(addresses, self.resolver.last(host)),
        })
    }

    /// Whether a connection would come back to this process, and go out again, for ever. What is an
    /// address from the start was looked at then.
    fn leads_back(&self, address: SocketAddr) -> bool {
        let own = OwnAddresses::OfInterfaces; // listed only where the ports match
        let mut listens = self.listens.iter();
        listens.any(|listen| accepts(listen, address, &own))
    }

    /// Notes that a connection to this name stands: its address goes first from now on.
    pub(crate) fn reached(&self, host: &str, address: SocketAddr) {
        self.resolver.reached(host, address);
    }

    /// Connects sockets that `socket` makes to these addresses, in their order: the next one where one
    /// has failed, or has been silent for [`STAGGER`] or, where there are many, for its share of
    /// `bound`. The first that stands is returned, unregistered; the others are closed.
    ///
    /// An address that answers at once, as on the loopback, costs two calls and no look at the clock.
    ///
    /// # Errors
    /// None answers, within `bound`. Of several failures a refusal says most, then one of this host, then
    /// the first address's.
    pub(crate) async fn race<S: Future<Output = ()>>(
        &self,
        addresses: &[SocketAddr],
        bound: Duration,
        socket: impl Fn(AddressFamily) -> Result<OwnedFd, Errno>,
        sleep: impl Fn(Instant) -> S,
    ) -> Result<(OwnedFd, SocketAddr), Failure> {
        let mut race = Race {
            dialer: self,
            waiting: addresses.iter().copied().enumerate(),
            racers: Vec::new(),
            beside: Vec::new(),
            failures: Vec::new(),
        };
        if let Some(decided) = race.start_next(&socket) {
            return decided;
        }
        // Boxed: what waits is large, and mostly nobody does.
        Box::pin(race.run(Instant::now() + bound, socket, sleep)).await
    }

    fn start(
        &self,
        address: SocketAddr,
        socket: impl Fn(AddressFamily) -> Result<OwnedFd, Errno>,
    ) -> Result<Start, Failure> {
        let family = match Family::of(address.ip()) {
            Family::V4 => AddressFamily::INET,
            Family::V6 => AddressFamily::INET6,
        };
        let fd = socket(family)?;
        let mut said = connect(&fd, &address);
        if said == Err(Errno::INPROGRESS) {
            // On loopback the handshake is over by now. Asking again says so, a turn of the reactor
            // earlier than waiting for it would.
            said = connect(&fd, &address);
        }
        match said {
            Ok(()) | Err(Errno::ISCONN) => Ok(Start::Connected(self.arrived(fd, address)?)),
            Err(Errno::ALREADY) => Ok(Start::UnderWay(sys::register(fd, Interest::WRITABLE)?)),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a connection for what it is. One to oneself is nobody's: the kernel has lent the
    /// upstream's port, which a reset gives back at once, so that the server can have it.
    fn arrived(&self, fd: OwnedFd, address: SocketAddr) -> Result<OwnedFd, Failure> {
        let port = address.port();
        let possible = self.ephemeral.is_none_or(|ports| ports.contains(port));
        if possible && is_its_own_peer(&fd, port) {
            socket::reset(fd);
            return Err(Failure::Refused(Errno::CONNREFUSED));
        }
        Ok(fd)
    }
}

enum Start {
    Connected(OwnedFd),
    UnderWay(AsyncFd<OwnedFd>),
}

/// What has become of the addresses of an upstream so far.
struct Race<'a, A> {
    dialer: &'a Dialer,
    /// Those that have not been tried yet, by their places.
    waiting: A,
    /// Those under way, the first to start first.
    racers: Vec<Racer>,
    /// What the second of them and those after it hold of [`BESIDE`].
    beside: Vec<OwnedSemaphorePermit>,
    failures: Vec<(usize, Failure)>,
}

type Decided = Result<(OwnedFd, SocketAddr), Failure>;

impl<A: ExactSizeIterator<Item = (usize, SocketAddr)>> Race<'_, A> {
    /// Starts the next connect that is not over at once, if there is any address left. `Some`: it is
    /// decided.
    fn start_next(
        &mut self,
        socket: impl Fn(AddressFamily) -> Result<OwnedFd, Errno>,
    ) -> Option<Decided> {
        for (place, address) in self.waiting.by_ref() {
            match self.dialer.start(address, &socket) {
                Ok(Start::Connected(fd)) => return Some(Ok((fd, address))),
                Ok(Start::UnderWay(fd)) => {
                    self.racers.push(Racer { fd, place, address });
                    return None;
                }
                Err(failure) => self.failures.push((place, failure)),
            }
        }
        self.racers
            .is_empty()
            .then(|| Err(decisive(mem::take(&mut self.failures))))
    }

    /// Waits for those under way, and starts others when it is time.
    async fn run<S: Future<Output = ()>>(
        mut self,
        deadline: Instant,
        socket: impl Fn(AddressFamily) -> Result<OwnedFd, Errno>,
        sleep: impl Fn(Instant) -> S,
    ) -> Decided {
        loop {
            let now = Instant::now();
            let left = deadline.saturating_duration_since(now);
            let share = left / u32::try_from(self.waiting.len() + 1).unwrap_or(u32::MAX);
            let company = self.company();
            let until = match (self.waiting.len(), &company) {
                (0, _) => self.last_moment(deadline, now),
                (_, Some(_)) => now + share.min(STAGGER),
                (_, None) => now + share,
            };
            let mut told = before(sleep(until), first_told(&self.racers)).await;
            if told.is_none() {
                // Whoever was held up asks the kernel before it believes its clock.
                told = find_told(&self.racers, Racer::ask);
            }
            match told {
                Some((index, result)) => {
                    let Racer { fd, place, address } = self.racers.remove(index);
                    let arrived = result
                        .map_err(Failure::from)
                        .and_then(|()| self.dialer.arrived(fd.into_inner(), address));
                    match arrived {
                        Ok(fd) => return Ok((fd, address)),
                        Err(failure) => self.failures.push((place, failure)),
                    }
                }
                None if self.waiting.len() == 0 || Instant::now() >= deadline => {
                    let silent = self.racers.iter().map(|it| (it.place, Failure::TimedOut));
                    self.failures.extend(silent);
                    return Err(decisive(self.failures));
                }
                // The next one's turn: beside those that are silent, or in the place of one of them.
                None => match company {
                    Some(permit) => self.beside.push(permit),
                    None => {
                        let Racer { place, .. } = self.racers.remove(0);
                        self.failures.push((place, Failure::TimedOut));
                    }
                },
            }
            if let Some(decided) = self.start_next(&socket) {
                return decided;
            }
            self.beside.truncate(self.racers.len().saturating_sub(1));
        }
    }
}

impl<A> Race<'_, A> {
    /// Leave for one more connect beside those under way, if it is to be had.
    fn company(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.dialer.beside).try_acquire_owned().ok()
    }

    /// When all that are under way are given up. Where an address has refused, the others are not
    /// waited for as long as if nobody had said anything.
    fn last_moment(&self, deadline: Instant, now: Instant) -> Instant {
        let refused = self
            .failures
            .iter()
            .any(|(_, failure)| matches!(failure, Failure::Refused(_)));
        match refused {
            true => deadline.min(now + SILENT_BESIDE_REFUSED),
            false => deadline,
        }
    }
}

/// A connect that is under way.
struct Racer {
    fd: AsyncFd<OwnedFd>,
    /// Where its address stands among all.
    place: usize,
    address: SocketAddr,
}

impl Racer {
    /// What the kernel knows by now.
    fn ask(&self) -> Poll<Result<(), Errno>> {
        match connect(&self.fd, &self.address) {
            Ok(()) | Err(Errno::ISCONN) => Poll::Ready(Ok(())),
            Err(Errno::ALREADY | Errno::INTR) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<(), Errno>> {
        while let Poll::Ready(guard) = self.fd.poll_write_ready(cx) {
            let Ok(mut guard) = guard else {
                return Poll::Ready(Err(Errno::CANCELED)); // the runtime is going away
            };
            match self.ask() {
                Poll::Ready(result) => return Poll::Ready(result),
                Poll::Pending => guard.clear_ready(),
            }
        }
        Poll::Pending
    }
}

/// Waits for the first racer that has arrived or failed, and says where it stands among `racers`.
async fn first_told(racers: &[Racer]) -> (usize, Result<(), Errno>) {
    poll_fn(|cx| match find_told(racers, |racer| racer.poll(cx)) {
        Some(told) => Poll::Ready(told),
        None => Poll::Pending,
    })
    .await
}

fn find_told(
    racers: &[Racer],
    mut look: impl FnMut(&Racer) -> Poll<Result<(), Errno>>,
) -> Option<(usize, Result<(), Errno>)> {
    let mut told = racers
        .iter()
        .enumerate()
        .map(|(index, racer)| match look(racer) {
            Poll::Ready(result) => Some((index, result)),
            Poll::Pending => None,
        });
    told.find_map(|told| told)
}

/// The families in turns (RFC 8305, section 4): first the address that answered last, if it is one of
/// these, and its family, or else that of the first address; within a family the resolver's order stays.
fn interleaved(mut addresses: Vec<SocketAddr>, last: Option<IpAddr>) -> Vec<SocketAddr> {
    addresses.sort_by_key(|address| Some(address.ip()) != last);
    let first = last
        .map(Family::of)
        .or_else(|| addresses.first().map(|address| Family::of(address.ip())));
    let (some, others): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| Some(Family::of(address.ip())) == first);
    let (mut some, mut others) = (some.into_iter(), others.into_iter());
    let mut all = Vec::with_capacity(some.len() + others.len());
    while some.len() + others.len() > 0 {
        all.extend(some.next());
        all.extend(others.next());
    }
    all
}

#[cfg(test)]
mod tests;
