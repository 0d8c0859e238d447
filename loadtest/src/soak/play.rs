//! One end of a connection plays its part.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::script::{Part, Script, Side};
use super::stream::{Origin, Stream, find_block};
use super::verdict::{End, Verdict, WrongByte};
use crate::seed::Seeded;

/// How long a connection may take; scripts need a fraction of it.
const LIMIT: Duration = Duration::from_secs(60);

/// One end of one connection.
#[derive(Debug)]
pub(crate) struct Player {
    seed: u64,
    connection: u64,
    side: Side,
    part: Part,
    /// What the peer sends, bytes.
    expected: u64,
    received: Cell<u64>,
    wrong: RefCell<Option<WrongByte>>,
    /// The peer's stream has ended.
    ended: Notify,
}

impl Player {
    /// The end on `side` of a connection.
    pub(crate) fn new(seed: u64, connection: u64, side: Side) -> Self {
        let script = Script::new(seed, connection);
        Self {
            seed,
            connection,
            side,
            part: script.part(side),
            expected: script.part(side.peer()).bytes,
            received: Cell::new(0),
            wrong: RefCell::new(None),
            ended: Notify::new(),
        }
    }

    /// Plays to the end, and tells what came.
    pub(crate) async fn play(&self, mut stream: TcpStream) -> Verdict {
        stream.set_nodelay(true).ok(); // advisory
        let (reader, writer) = stream.split();
        let both = async {
            let (send, receive) = (self.send(writer), self.receive(reader));
            tokio::pin!(send, receive);
            tokio::select! {
                sent = &mut send => match sent {
                    Ok(()) if self.part.resets => End::Own,
                    Ok(()) => receive.await,
                    // The kernel tells of a reset once: here; reading then finds an orderly end.
                    Err(error) => match receive.await {
                        End::Fin => End::Broken(error.to_string()),
                        end => end,
                    },
                },
                end = &mut receive => {
                    if end == End::Fin && self.wrong.borrow().is_none() {
                        send.await.ok(); // the peer tells what became of it
                    }
                    end
                }
            }
        };
        let end = timeout(LIMIT, both).await.unwrap_or(End::Stalled);
        if self.part.resets {
            stream.set_zero_linger().ok(); // then closing resets
        }
        Verdict {
            connection: self.connection,
            received: self.received.get(),
            end,
            mismatch: self.wrong.take(),
        }
    }

    async fn send(&self, mut writer: WriteHalf<'_>) -> io::Result<()> {
        let mut stream = Stream::new(self.seed, self.connection, self.side);
        let mut seeded = self.seeded(b"write");
        let Part { bytes, resets, .. } = self.part;
        let mut left = if resets {
            bytes.saturating_sub(1)
        } else {
            bytes
        };
        let half = bytes / 2;
        let mut waits = self.part.outlives;
        while left > 0 || waits {
            if waits && left <= half {
                self.ended.notified().await;
                waits = false;
                continue;
            }
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            let piece = stream.peek(most.min(1 + seeded.below(self.part.write)));
            let sent = writer.write(piece).await?;
            stream.advance(sent);
            left -= sent as u64;
            pause(&mut seeded, self.part.write_pauses).await;
        }
        match resets {
            true => Ok(()),
            false => writer.shutdown().await,
        }
    }

    async fn receive(&self, mut reader: ReadHalf<'_>) -> End {
        let end = match self.receive_pieces(&mut reader).await {
            Ok(()) => End::Fin,
            Err(error) => End::Broken(error.to_string()),
        };
        self.ended.notify_one();
        end
    }

    /// Receives up to the end, or to a byte that is wrong.
    async fn receive_pieces(&self, reader: &mut ReadHalf<'_>) -> io::Result<()> {
        let mut stream = Stream::new(self.seed, self.connection, self.side.peer());
        let mut seeded = self.seeded(b"read");
        let mut buffer = vec![0; self.part.read];
        loop {
            let most = 1 + seeded.below(self.part.read);
            let length = reader.read(&mut buffer[..most]).await?;
            if length == 0 {
                return Ok(());
            }
            let mut rest = &buffer[..length];
            while !rest.is_empty() {
                let left = self.expected - self.received.get();
                let known =
                    stream.peek(rest.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
                let known = if left == 0 { &[] } else { known };
                let same = known.iter().zip(rest).take_while(|(a, b)| a == b).count();
                self.received.set(self.received.get() + same as u64);
                if same == 0 || same < known.len() {
                    let wrong = WrongByte {
                        expected: known.get(same).copied(),
                        received: rest[same],
                        belongs: None,
                    };
                    let rest = rest[same..].to_vec();
                    self.wrong
                        .replace(Some(self.locate(wrong, rest, reader).await));
                    return Ok(());
                }
                rest = &rest[same..];
                stream.advance(same);
            }
            pause(&mut seeded, self.part.read_pauses).await;
        }
    }

    /// Reads on behind a wrong byte, to see where what comes there belongs.
    async fn locate(
        &self,
        wrong: WrongByte,
        mut bytes: Vec<u8>,
        reader: &mut ReadHalf<'_>,
    ) -> WrongByte {
        const ENOUGH: usize = 64 * 1024; // bytes; some blocks
        let more = async {
            while bytes.len() < ENOUGH && reader.read_buf(&mut bytes).await? > 0 {}
            io::Result::Ok(())
        };
        timeout(Duration::from_millis(300), more).await.ok(); // what has come will do
        let own = |belongs: &Origin| {
            belongs.connection == self.connection
                && belongs.to_client == (self.side == Side::Client)
        };
        let found = find_block(&bytes).map(|(before, belongs)| (before as u64, belongs));
        // The same stream, in step: only some bytes were changed.
        let in_step = |&(before, belongs): &(u64, Origin)| {
            own(&belongs) && belongs.position == self.received.get() + before
        };
        WrongByte {
            belongs: found
                .filter(|found| !in_step(found))
                .map(|(_, belongs)| belongs),
            ..wrong
        }
    }

    fn seeded(&self, what: &[u8]) -> Seeded {
        let key = self.connection << 1 | u64::from(self.side == Side::Upstream);
        Seeded::keyed(self.seed ^ key, what)
    }
}

/// Pauses some milliseconds, once in so many calls; a pause is what a peer does, not a wait.
async fn pause(seeded: &mut Seeded, one_in: usize) {
    if one_in > 0 && seeded.below(10 * one_in) == 0 {
        sleep(Duration::from_millis(1 + seeded.below(5) as u64)).await;
    }
}
