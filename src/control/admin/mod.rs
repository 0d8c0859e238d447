//! The admin endpoint: read-only HTTP for whoever watches the process. It runs on the control
//! runtime, and what it costs is bounded: so many connections, each for so long, one request each.

pub(crate) mod catalogue;
mod connections;
mod exposition;
mod family;
mod health;
mod process;
mod routes;

use std::{collections::VecDeque, os::fd::OwnedFd, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::{io::Errno, net::listen};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};
use tracing::warn;

pub(crate) use self::routes::Admin;
use crate::{config::ListenAddr, edge::bind::bind_tcp};

/// Connections at most; a newcomer beyond them takes the place of the oldest, so that a client that
/// holds connections open keeps nobody out.
const CONNECTIONS: usize = 32;

/// Within this time a request has arrived whole.
const HEADER_TIME: Duration = Duration::from_secs(5);

/// Within this time a connection is over, the answer sent.
const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// Bytes of a request's line and headers; the least that hyper takes.
const HEADER_SIZE: usize = 8192;

const HEADERS: usize = 64;

const BACKLOG: i32 = 64;

/// Pause after a failed accept, which is one for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Binds the endpoint's socket and listens.
///
/// # Errors
/// The address can't be had.
pub(crate) fn bind_at(address: &ListenAddr, reuse_port: bool) -> Result<OwnedFd, Errno> {
    let socket = bind_tcp(address, reuse_port)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Serves for ever.
pub(crate) async fn run(listener: TcpListener, admin: Arc<Admin>) {
    let mut connections = JoinSet::new();
    let mut handles = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "the admin endpoint can't accept");
                sleep(PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        make_room(&mut handles);
        handles.push_back(connections.spawn(serve(stream, Arc::clone(&admin))));
    }
}

fn make_room(handles: &mut VecDeque<AbortHandle>) {
    handles.retain(|handle| !handle.is_finished());
    if handles.len() >= CONNECTIONS
        && let Some(oldest) = handles.pop_front()
    {
        oldest.abort();
    }
}

async fn serve(stream: TcpStream, admin: Arc<Admin>) {
    let service = service_fn(|request| {
        let admin = Arc::clone(&admin);
        async move { admin.answer(request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_SIZE)
        .max_headers(HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever hangs up, or sends what is no request, has had its answer.
    drop(timeout(CONNECTION_TIME, connection).await);
}
