//! An origin for thousands of connections.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
};

use tokio::{io, net::TcpListener, runtime::Builder, sync::oneshot};

/// A server that sends back what it receives. Dropping it ends it.
pub(crate) struct Echo {
    addr: SocketAddr,
    /// Taken by the drop.
    end: Option<(oneshot::Sender<()>, thread::JoinHandle<()>)>,
}

impl Echo {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = ended => {}
                    () = serve(listener) => {}
                }
            });
        });
        Self {
            addr,
            end: Some((end, thread)),
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.end.take() {
            end.send(()).ok();
            drop(thread.join());
        }
    }
}

async fn serve(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let (mut from, mut to) = stream.split();
            drop(io::copy(&mut from, &mut to).await); // clients may end as they like
        });
    }
}

/// Sends a message to an [`Echo`] and gets it back.
///
/// # Panics
/// It does not come back as it was.
pub(crate) fn echo_once(mut client: &TcpStream, message: &[u8]) {
    client.write_all(message).unwrap();
    let mut answer = vec![0; message.len()];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer, message);
}
