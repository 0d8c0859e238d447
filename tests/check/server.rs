//! A server of HTTP, for what a Tempo process, or something else, answers.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, thread};

use http_body_util::Full;
use hyper::{
    Request, Response, body::Bytes, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, runtime::Builder, sync::oneshot};

/// A running server. Dropping it ends it.
pub(crate) struct Http {
    addr: SocketAddr,
    end: Option<(oneshot::Sender<()>, thread::JoinHandle<()>)>,
}

impl Http {
    /// Answers every request on a free port of `ip`.
    pub(crate) fn start(
        ip: &str,
        answer: impl Fn(&Request<Incoming>) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((ip, 0))).unwrap();
        let addr = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let answer = Arc::new(answer);
        let serve = async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = Arc::clone(&answer);
                let service = service_fn(move |request| {
                    let response = answer(&request);
                    async { Ok::<_, Infallible>(response) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        };
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = ended => {}
                    () = serve => {}
                }
            });
        });
        Self {
            addr,
            end: Some((end, thread)),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        let (end, thread) = self.end.take().unwrap();
        end.send(()).ok(); // it may have failed: its thread says so
        drop(thread.join());
    }
}

/// An answer of a status, with a content type and a body.
pub(crate) fn response(status: u16, kind: &str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("Content-Type", kind)
        .body(Full::new(body.into()))
        .unwrap()
}
