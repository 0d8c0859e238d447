//! The threads that look names up, and the look-ups.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, ToSocketAddrs as _},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tracing::debug;

use super::{Answer, SILENCE, Unresolved};

/// Threads at most for one name; each further name that is being looked up may have one more, so that
/// names which nobody answers for keep no other waiting. glibc holds a descriptor for each name server that it has asked (three at most)
/// and one more in passing: these fit in what `server` keeps for everything but connections.
const THREADS: usize = 6;

/// How long a thread waits for its next look-up.
const LINGER: Duration = Duration::from_secs(10);

/// The threads, and what they share with those who ask.
#[derive(Default)]
pub(super) struct Pool {
    pub(super) shared: Arc<Shared>,
}

#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Tells idle threads of work, or of the end.
    work: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    /// The names that are being looked up.
    names: HashMap<Arc<str>, Name>,
    /// Look-ups that no thread has begun.
    queue: VecDeque<LookUp>,
    threads: usize,
    /// Those of them that wait for work.
    idle: usize,
    /// Names ever entered in `names`.
    entered: u64,
    /// The addresses of the last connections, by name.
    pub(super) last: HashMap<Box<str>, IpAddr>,
    closed: bool,
}

/// The number of a look-up, and its answer to come.
pub(super) type Joined = (u64, watch::Receiver<Option<Answer>>);

/// A name, and its number when it was entered.
type LookUp = (Arc<str>, u64);

/// A name that is being looked up.
struct Name {
    /// Tells it from the same name as it was looked up before.
    number: u64,
    answer: watch::Sender<Option<Answer>>,
    /// Look-ups of it that are queued or running; mostly one.
    running: usize,
    /// When the last of them began, or was queued.
    begun: Instant,
}

impl Pool {
    /// Waits with others for this name, whose look-up begins if there is none.
    pub(super) fn join(&self, host: &str) -> Result<Joined, Unresolved> {
        let mut state = self.shared.lock();
        if let Some(name) = state.names.get(host) {
            let joined = (name.number, name.answer.subscribe());
            self.second(&mut state, host);
            return Ok(joined);
        }
        state.entered += 1;
        let (key, number): LookUp = (host.into(), state.entered);
        self.enqueue(&mut state, (Arc::clone(&key), number))
            .map_err(|error| Unresolved::NoThread(Arc::new(error)))?;
        let (sender, answer) = watch::channel(None);
        let name = Name {
            number,
            answer: sender,
            running: 1,
            begun: Instant::now(),
        };
        state.names.insert(key, name);
        Ok((number, answer))
    }

    /// Begins another look-up where the one that is waited for is silent.
    pub(super) fn urge(&self, host: &str, number: u64) {
        let mut state = self.shared.lock();
        if state
            .names
            .get(host)
            .is_some_and(|name| name.number == number)
        {
            self.second(&mut state, host);
        }
    }

    fn second(&self, state: &mut State, host: &str) {
        let Some((key, name)) = state.names.get_key_value(host) else {
            return;
        };
        // One thread is left to each name.
        let running = state.threads - state.idle + state.queue.len();
        let seconds = running.saturating_sub(state.names.len());
        if name.begun.elapsed() < SILENCE || seconds >= THREADS - 1 {
            return;
        }
        let another = (Arc::clone(key), name.number);
        if self.enqueue(state, another).is_ok()
            && let Some(name) = state.names.get_mut(host)
        {
            name.running += 1;
            name.begun = Instant::now();
        }
    }

    /// Finds a thread for a look-up, or has it wait for one.
    ///
    /// # Errors
    /// There is none, and none can be had.
    fn enqueue(&self, state: &mut State, it: LookUp) -> io::Result<()> {
        if state.idle > state.queue.len() {
            self.shared.work.notify_one();
        } else if state.threads < THREADS + state.names.len() {
            let shared = Arc::clone(&self.shared);
            // Unlike a runtime's own, it does not panic where there is no thread to be had.
            let started = thread::Builder::new()
                .name("resolver".to_owned())
                .spawn(move || shared.serve());
            match started {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(error),
                Err(_) => {} // those that there are will come to it
            }
        }
        state.queue.push_back(it);
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of a thread.
    fn serve(&self) {
        while let Some((host, number)) = self.next() {
            let found = match (&*host, 0).to_socket_addrs() {
                Ok(addresses) => Ok(addresses.collect::<Arc<[_]>>()),
                Err(error) => Err(Unresolved::Failed(Arc::new(error))),
            };
            let answer = found.and_then(|addresses| match addresses.is_empty() {
                true => Err(Unresolved::Empty),
                false => Ok(addresses),
            });
            if let Err(error) = &answer {
                debug!(name = &*host, %error, "not resolved");
            }
            self.answer(&host, number, answer);
        }
    }

    /// Waits for work. `None`: the thread is to end, and is no longer counted.
    fn next(&self) -> Option<LookUp> {
        let mut state = self.lock();
        let until = Instant::now() + LINGER;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.closed || (state.queue.is_empty() && left.is_zero()) {
                state.threads -= 1;
                return None;
            }
            if let Some((host, number)) = state.queue.pop_front() {
                match state.names.get_mut(&host) {
                    // Nobody has the patience any more.
                    Some(name) if name.number == number && name.answer.is_closed() => {
                        state.names.remove(&host);
                    }
                    Some(name) if name.number == number => {
                        name.begun = Instant::now();
                        return Some((host, number));
                    }
                    _ => {} // answered by another one meanwhile
                }
                continue;
            }
            state.idle += 1;
            let (guard, _) = self
                .work
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
        }
    }

    /// Tells all who wait, unless a later look-up may know better.
    fn answer(&self, host: &str, number: u64, answer: Answer) {
        let mut state = self.lock();
        let Some(name) = state.names.get_mut(host) else {
            return;
        };
        if name.number != number {
            return;
        }
        name.running -= 1;
        if (answer.is_ok() || name.running == 0)
            && let Some(name) = state.names.remove(host)
        {
            name.answer.send_replace(Some(answer));
        }
    }
}
