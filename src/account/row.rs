//! A live connection as `/connections` shows it.

use std::rc::Rc;

use serde::Serialize;
use tcp_info::{TcpInfo, tcp_info};

use super::{
    labels::Way,
    live::{Live, Side, UpstreamPeer},
    record::milliseconds,
};

/// One connection, at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// `WORKER-SERIAL`: no other connection of this process ever has the same.
    pub(crate) id: String,
    client: String,
    upstream: Option<String>,
    worker: usize,
    state: State,
    age_seconds: f64,
    connect_ms: Option<f64>,
    bytes_to_upstream: u64,
    bytes_to_client: u64,
    path: &'static str,
    /// `None` for a unix socket, or while the upstream is not connected.
    client_tcp: Option<Tcp>,
    upstream_tcp: Option<Tcp>,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Connecting,
    Open,
    /// One side at least has ended its stream.
    HalfClosed,
}

/// What the kernel knows of a socket.
#[derive(Debug, Serialize)]
struct Tcp {
    rtt_ms: f64,
    rtt_var_ms: f64,
    unacked_segments: u32,
    retransmits: u32,
    congestion_window_segments: u32,
    notsent_bytes: u32,
    delivery_rate_bytes_per_second: u64,
}

impl Row {
    /// The row of a connection of `worker`. Asks the kernel twice.
    pub(crate) fn of(live: &Live, worker: usize) -> Self {
        let state = match (live.upstream.get(), live.half_closed.get()) {
            (None, _) => State::Connecting,
            (Some(_), false) => State::Open,
            (Some(_), true) => State::HalfClosed,
        };
        let sockets = live.sockets.borrow();
        let [client_tcp, upstream_tcp] = match &*sockets {
            Some(sockets) => sockets.each_ref().map(Tcp::of),
            None => [None, None],
        };
        Self {
            id: format!("{worker}-{}", live.serial),
            client: live.client.get().to_string(),
            upstream: live.upstream.get().map(UpstreamPeer::to_string),
            worker,
            state,
            age_seconds: milliseconds(live.opened.elapsed()) / 1000.0,
            connect_ms: live.connect_time.get().map(milliseconds),
            bytes_to_upstream: live.bytes(Way::ToUpstream),
            bytes_to_client: live.bytes(Way::ToClient),
            path: live.path(),
            client_tcp,
            upstream_tcp,
        }
    }
}

impl Tcp {
    fn of(socket: &Rc<dyn Side>) -> Option<Self> {
        let TcpInfo {
            rtt,
            rtt_var,
            unacked,
            retransmits,
            congestion_window,
            notsent,
            delivery_rate,
            ..
        } = tcp_info(socket).ok()?;
        Some(Self {
            rtt_ms: milliseconds(rtt),
            rtt_var_ms: milliseconds(rtt_var),
            unacked_segments: unacked,
            retransmits,
            congestion_window_segments: congestion_window,
            notsent_bytes: notsent,
            delivery_rate_bytes_per_second: delivery_rate,
        })
    }
}
