//! Bulk on one connection: units one way or both, as fast as they go.

use std::cell::Cell;

use anyhow::bail;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::cli::Direction;
use crate::tcp::load::Client;
use crate::tcp::order::Order;
use crate::tcp::origin::BUFFER;
use crate::tcp::units::{BULK, Body, Checker, send_end};

/// Streams of bulk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bulk {
    /// Which way.
    pub(crate) direction: Direction,
    /// Connections at a time.
    pub(crate) streams: usize,
}

impl Bulk {
    /// Makes the load of one stream, then has the origin confirm what it received.
    ///
    /// # Errors
    /// When the connection breaks, or a byte either way is not the one that was sent.
    pub(crate) async fn run(self, client: &Client, number: u64) -> anyhow::Result<()> {
        let mut stream = client.connect().await?;
        let order = Order::Bulk {
            down: self.direction != Direction::Up,
            stream: number,
        };
        stream.write_all(&order.encode()).await?;
        client.ready();
        let body = Body::new(BULK, number);
        let (mut reader, mut writer) = stream.split();
        let found = Cell::new(None);
        let send = async {
            if self.direction == Direction::Down {
                while !client.is_over() {
                    tokio::time::sleep(POLL).await;
                }
            } else {
                let mut number = 0;
                while !client.is_over() {
                    body.send(number, &mut writer).await?;
                    number += 1;
                    client.count_bytes(BULK as u64);
                }
            }
            send_end(None, &mut writer).await?;
            anyhow::Ok(())
        };
        let receive = async {
            let mut checker = Checker::new(body.clone());
            let mut buffer = vec![0; BUFFER];
            while found.get().is_none() {
                let length = reader.read(&mut buffer).await?;
                if length == 0 {
                    bail!("stream {number}: ended before the origin's last word");
                }
                if self.direction != Direction::Up {
                    client.count_bytes(length as u64);
                }
                if let Err(fault) = checker.feed(&buffer[..length]) {
                    bail!("stream {number}, to the client: {fault}");
                }
                found.set(checker.end());
            }
            Ok(())
        };
        tokio::try_join!(send, receive)?;
        match found.get().flatten() {
            Some(fault) => bail!("stream {number}, to the upstream: {fault}"),
            None => Ok(()),
        }
    }
}

/// How often a stream that only receives looks whether the block is over.
const POLL: std::time::Duration = std::time::Duration::from_millis(5);
