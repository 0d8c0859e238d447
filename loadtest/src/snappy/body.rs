//! A body whose gRPC messages are encoded, or decoded, as they pass.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame};
use tonic::Status;

use super::{decode, encode};

/// Flag and length in front of each message.
const PREFIX: usize = 5;

/// Which way the messages of a [`RecodedBody`] are changed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Recode {
    /// Plain messages become snappy. An empty one stays plain, as in grpc-go.
    Encode,
    /// Snappy messages become plain, and are an error when larger than `limit` bytes.
    Decode {
        /// Bytes allowed for one message, encoded as well as decoded.
        limit: usize,
    },
}

/// `inner` with each of its messages recoded. Trailers and the end of the stream pass unchanged.
pub(crate) struct RecodedBody<B> {
    inner: B,
    recode: Recode,
    /// What came and is not yet a whole message.
    pending: BytesMut,
}

impl<B> RecodedBody<B> {
    pub(crate) fn new(inner: B, recode: Recode) -> Self {
        Self {
            inner,
            recode,
            pending: BytesMut::new(),
        }
    }

    /// Recodes the whole messages that are pending; `None` when there is none.
    fn take_messages(&mut self) -> Result<Option<Bytes>, Status> {
        let mut out = Vec::new();
        while let Some(header) = self.pending.first_chunk::<PREFIX>() {
            let [flag, length @ ..] = *header;
            let length = u32::from_be_bytes(length) as usize;
            if let Recode::Decode { limit } = self.recode
                && length > limit
            {
                return Err(too_large(limit));
            }
            if self.pending.len() < PREFIX + length {
                self.pending.reserve(PREFIX + length - self.pending.len());
                break;
            }
            self.pending.advance(PREFIX);
            let message = self.pending.split_to(length);
            let recoded = match (self.recode, flag) {
                (Recode::Encode, 0) if length > 0 => append(&mut out, 1, length, |out| {
                    encode(&message, out).map_err(|error| Status::internal(error.to_string()))
                }),
                (Recode::Decode { limit }, 1) => {
                    append(&mut out, 0, limit.min(length * 4), |out| {
                        match decode(&message, out, limit) {
                            Ok(true) => Ok(()),
                            Ok(false) => Err(too_large(limit)),
                            Err(error) => Err(Status::internal(format!("snappy: {error}"))),
                        }
                    })
                }
                _ => append(&mut out, flag, length, |out| {
                    out.extend_from_slice(&message);
                    Ok(())
                }),
            };
            recoded?;
        }
        Ok((!out.is_empty()).then(|| Bytes::from(out)))
    }
}

impl<B> Body for RecodedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            let next = ready!(Pin::new(&mut self.inner).poll_frame(cx));
            let frame = match next {
                None if self.pending.is_empty() => return Poll::Ready(None),
                None => return Poll::Ready(Some(Err(cut_short()))),
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(Status::from_error(error.into()))));
                }
                Some(Ok(frame)) => frame,
            };
            let data = match frame.into_data() {
                Ok(data) => data,
                // A server that gives up says so in trailers, in the middle of a message if need be.
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            };
            if self.pending.is_empty() {
                self.pending = BytesMut::from(data); // no copy when nobody else holds it
            } else {
                self.pending.extend_from_slice(&data);
            }
            match self.take_messages() {
                Ok(None) => {}
                Ok(Some(messages)) => return Poll::Ready(Some(Ok(Frame::data(messages)))),
                Err(status) => return Poll::Ready(Some(Err(status))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pending.is_empty() && self.inner.is_end_stream()
    }
}

/// Appends one message, which `write` produces, with its prefix. `expected` bytes are reserved.
fn append(
    out: &mut Vec<u8>,
    flag: u8,
    expected: usize,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Status>,
) -> Result<(), Status> {
    let start = out.len();
    out.reserve(PREFIX + expected);
    out.extend_from_slice(&[flag, 0, 0, 0, 0]);
    write(out)?;
    let length = u32::try_from(out.len() - start - PREFIX)
        .map_err(|_| Status::resource_exhausted("a message of more than 4 GiB"))?;
    out[start + 1..start + PREFIX].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

fn too_large(limit: usize) -> Status {
    Status::resource_exhausted(format!("a message larger than the limit of {limit} bytes"))
}

fn cut_short() -> Status {
    Status::internal("the stream ended inside a message")
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::poll_fn;

    use super::*;

    /// A body that hands out `frames` one by one.
    struct Frames(VecDeque<Bytes>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
        }
    }

    async fn recode(bytes: &[u8], piece: usize, recode: Recode) -> Result<Vec<u8>, Status> {
        let frames = Frames(bytes.chunks(piece).map(Bytes::copy_from_slice).collect());
        let mut body = RecodedBody::new(frames, recode);
        let mut out = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            out.extend_from_slice(frame?.data_ref().unwrap());
        }
        Ok(out)
    }

    fn message(flag: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        append(&mut out, flag, 0, |out| {
            out.extend_from_slice(payload);
            Ok(())
        })
        .unwrap();
        out
    }

    const DECODE: Recode = Recode::Decode { limit: 1_000 };

    #[tokio::test]
    async fn messages_come_back_however_the_body_is_cut() {
        let plain = [message(0, b"first"), message(0, b""), message(0, &[9; 600])].concat();
        for piece in [1, 3, 5, 6, 10_000] {
            let encoded = recode(&plain, piece, Recode::Encode).await.unwrap();
            assert_eq!(encoded[0], 1, "compressed flag");
            assert_ne!(encoded, plain);
            let decoded = recode(&encoded, piece, DECODE).await.unwrap();
            assert_eq!(decoded, plain, "pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn an_empty_message_stays_plain() {
        let empty = message(0, b"");
        assert_eq!(recode(&empty, 9, Recode::Encode).await.unwrap(), empty);
    }

    #[tokio::test]
    async fn plain_messages_pass_a_decoder() {
        let plain = message(0, b"not compressed");
        assert_eq!(recode(&plain, 4, DECODE).await.unwrap(), plain);
    }

    #[tokio::test]
    async fn a_large_message_is_refused_before_and_after_decoding() {
        let long = recode(&message(0, &[1; 1_001]), 64, DECODE).await;
        assert_eq!(long.unwrap_err().code(), tonic::Code::ResourceExhausted);

        let zeros = recode(&message(0, &[0; 1_001]), 2_000, Recode::Encode)
            .await
            .unwrap();
        assert!(zeros.len() < 1_000);
        let bomb = recode(&zeros, 64, DECODE).await;
        assert_eq!(bomb.unwrap_err().code(), tonic::Code::ResourceExhausted);
    }

    #[tokio::test]
    async fn an_end_inside_a_message_is_an_error() {
        let whole = message(0, b"cut");
        let cut = recode(&whole[..6], 2, DECODE).await;
        assert_eq!(cut.unwrap_err().code(), tonic::Code::Internal);
    }
}
