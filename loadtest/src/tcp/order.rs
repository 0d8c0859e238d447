//! What a client asks an origin to do with a connection: its first 32 bytes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Units both ways: the client's always, the origin's where `down` is set, until the client
    /// ends.
    Bulk {
        /// Whether the origin sends as well.
        down: bool,
        /// The number of the stream, which tells its bytes from those of others.
        stream: u64,
    },
    /// For each request a response.
    Exchange {
        /// Size of a request, bytes.
        request: u64,
        /// Size of a response, bytes.
        response: u64,
        /// The number of the connection, which tells its bytes from those of others.
        stream: u64,
    },
    /// Both ends play the parts of this connection.
    Soak {
        /// Fixes all parts.
        seed: u64,
        /// The number of the connection.
        connection: u64,
    },
    /// The origin tells what it saw of the connections that soak under this seed, a line each.
    Verdicts {
        /// The seed of the run.
        seed: u64,
    },
}

/// Bytes of an order.
pub(crate) const LENGTH: usize = 32;

const MAGIC: u64 = u64::from_le_bytes(*b"loadtst1");

impl Order {
    /// As it is sent.
    pub(crate) fn encode(self) -> [u8; LENGTH] {
        let words = match self {
            Self::Bulk { down, stream } => [1 + u64::from(down), stream, 0],
            Self::Exchange {
                request,
                response,
                stream,
            } => [3 | request << 8, response, stream],
            Self::Soak { seed, connection } => [4, seed, connection],
            Self::Verdicts { seed } => [5, seed, 0],
        };
        let mut bytes = [0; LENGTH];
        for (place, word) in bytes
            .chunks_exact_mut(8)
            .zip([&[MAGIC][..], &words].concat())
        {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads the order with which a connection begins; `None` when the connection ends before it.
    ///
    /// # Errors
    /// When the connection breaks, or something else than an order comes.
    pub(crate) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut bytes = [0; LENGTH];
        if stream.read(&mut bytes[..1]).await? == 0 {
            return Ok(None);
        }
        stream.read_exact(&mut bytes[1..]).await?;
        let error = || io::Error::new(io::ErrorKind::InvalidData, "not an order of loadtest");
        Self::decode(&bytes).map(Some).ok_or_else(error)
    }

    fn decode(bytes: &[u8; LENGTH]) -> Option<Self> {
        let word = |place: usize| {
            let bytes = bytes[place * 8..].first_chunk().copied();
            bytes.map(u64::from_le_bytes)
        };
        if word(0)? != MAGIC {
            return None;
        }
        let (kind, b, c) = (word(1)?, word(2)?, word(3)?);
        Some(match kind & 0xff {
            1 | 2 => Self::Bulk {
                down: kind == 2,
                stream: b,
            },
            3 => Self::Exchange {
                request: kind >> 8,
                response: b,
                stream: c,
            },
            4 => Self::Soak {
                seed: b,
                connection: c,
            },
            5 => Self::Verdicts { seed: b },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn orders_read_back() {
        let exchange = Order::Exchange {
            request: 200,
            response: 4 << 20,
            stream: u64::MAX,
        };
        let bulk = |down| Order::Bulk { down, stream: 63 };
        let soak = Order::Soak {
            seed: u64::MAX,
            connection: 7,
        };
        for order in [
            exchange,
            bulk(true),
            bulk(false),
            soak,
            Order::Verdicts { seed: 1 },
        ] {
            let read = Order::receive(&mut &order.encode()[..]).await.unwrap();
            assert_eq!(read, Some(order));
        }
        assert_eq!(Order::receive(&mut &[][..]).await.unwrap(), None);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn other_beginnings_are_refused() {
        let mut request = b"GET / HTTP/1.1\r\nhost: example\r\n\r\n".as_slice();
        Order::receive(&mut request).await.unwrap_err();
        Order::receive(&mut &b"short"[..]).await.unwrap_err();
    }
}
