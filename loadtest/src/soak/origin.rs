//! The upstream's side of a soak, in the origin.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::play::Player;
use super::script::Side;

/// The first line to those who listen, which tells that nothing will be missed.
pub(crate) const READY: &str = "ready";

/// Who listens to the verdicts, by seed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Soak(Arc<Mutex<HashMap<u64, mpsc::UnboundedSender<String>>>>);

impl Soak {
    /// Plays the upstream's part of a connection, and tells the verdict to who listens.
    pub(crate) async fn serve(&self, stream: TcpStream, seed: u64, connection: u64) {
        let verdict = Player::new(seed, connection, Side::Upstream)
            .play(stream)
            .await;
        let listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listener) = listeners.get(&seed)
            && let Ok(line) = serde_json::to_string(&verdict)
        {
            listener.send(line).ok(); // has gone meanwhile
        }
    }

    /// Tells the verdicts of the run with `seed`, a line of JSON each, until the client ends.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(crate) async fn tell(&self, mut stream: TcpStream, seed: u64) -> io::Result<()> {
        let (send, mut lines) = mpsc::unbounded_channel();
        send.send(READY.to_owned()).ok(); // the receiver is here
        let listeners = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners().insert(seed, send);
        let (mut reader, mut writer) = stream.split();
        let tell = async {
            while let Some(line) = lines.recv().await {
                writer.write_all(format!("{line}\n").as_bytes()).await?;
            }
            io::Result::Ok(())
        };
        let result = tokio::select! {
            told = tell => told,
            _ = reader.read_u8() => Ok(()),
        };
        listeners().remove(&seed);
        result
    }
}
