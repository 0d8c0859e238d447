//! A live-store's stand-in and queriers that call it, while something is done to what is between.

use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use loadtest::{ClientConfig, QuerierClient, StandIn, StandInConfig, TraceId};
use tokio::runtime::{Builder, Runtime};

use super::support::{PATIENCE, eventually};

/// Where queriers dial.
pub(crate) const ADVERTISED: &str = "127.0.0.1:12345";

/// Where the live-store listens.
const LOCAL: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9095);

/// Calls of a querier that comes and goes, before it dials again.
const CALLS_PER_CONNECTION: usize = 20;

/// How a querier treats its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Keeps it for ever, as Tempo's do.
    Stays,
    /// Dials again after some calls.
    ComesAndGoes,
}

/// Calls that are made while something else happens.
#[derive(Default)]
pub(crate) struct Calls {
    made: AtomicUsize,
    over: AtomicBool,
    failures: Mutex<Vec<String>>,
}

impl Calls {
    /// Waits for so many more calls, good or bad.
    pub(crate) fn more(&self, calls: usize) {
        let until = self.made() + calls;
        eventually("calls are made", || self.made() >= until || self.failed());
    }

    pub(crate) fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    fn failed(&self) -> bool {
        !self.failures.lock().unwrap().is_empty()
    }

    async fn make(&self, habit: Habit) {
        let mut client = dial().await;
        while !self.over.load(Ordering::Relaxed) {
            for _ in 0..CALLS_PER_CONNECTION {
                let answer = match &client {
                    Ok(client) => client.check_health().await.map_err(|why| why.to_string()),
                    Err(why) => Err(why.clone()),
                };
                self.made.fetch_add(1, Ordering::Relaxed);
                if let Err(why) = answer {
                    self.failures.lock().unwrap().push(why);
                    return;
                }
            }
            if habit == Habit::ComesAndGoes {
                client = dial().await;
            }
        }
    }
}

/// A stand-in on the local port of this thread's network.
pub(crate) fn standin() -> StandIn {
    StandIn::start(StandInConfig {
        listen: LOCAL,
        ..StandInConfig::default()
    })
    .unwrap()
}

/// Makes calls from queriers of these habits while `act` does something, and returns how many were
/// made and what went wrong with them. To be called in the network of what is between.
pub(crate) fn while_called(habits: &[Habit], act: impl FnOnce(&Calls)) -> (usize, Vec<String>) {
    let calls = Calls::default();
    thread::scope(|scope| {
        for &habit in habits {
            let calls = &calls;
            scope.spawn(move || runtime().block_on(calls.make(habit)));
        }
        let _over = Over(&calls);
        act(&calls);
    });
    (calls.made(), calls.failures.into_inner().unwrap())
}

/// Ends the calls also where the test fails meanwhile.
struct Over<'a>(&'a Calls);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// Fetches traces small and large through the advertised port, and checks every byte against the
/// answers without anything between. To be called in the network of what is between.
pub(crate) fn assert_forwards_grpc() {
    runtime().block_on(async {
        let direct = QuerierClient::connect(config(LOCAL)).await.unwrap();
        let through = QuerierClient::connect(config(ADVERTISED)).await.unwrap();
        through.check_health().await.unwrap();
        for (size, number) in [(1 << 10, 1), (64 << 10, 2), (4 << 20, 3)] {
            let id = TraceId::sized(size, number);
            let (direct, through) = tokio::join!(direct.find_trace(id), through.find_trace(id));
            assert!(direct.unwrap() == through.unwrap(), "the answers differ");
        }
    });
}

async fn dial() -> Result<QuerierClient, String> {
    QuerierClient::connect(config(ADVERTISED))
        .await
        .map_err(|why| format!("dial: {why:#}"))
}

fn config(addr: impl ToString) -> ClientConfig {
    let mut config = ClientConfig::new(addr);
    config.connect_timeout = PATIENCE; // the machine is busy
    config.call_timeout = PATIENCE;
    config
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
