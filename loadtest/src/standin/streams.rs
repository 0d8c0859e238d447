//! `portamento.test.v1.Stream`: calls that stay open.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::{MESSAGE_LIMIT, State};
use crate::pattern;
use crate::proto::portamento::test::v1::{Chunk, DownloadRequest, stream_server};

/// Serves the streaming calls and counts the open ones.
#[derive(Debug)]
pub(super) struct Streams {
    state: Arc<State>,
}

impl Streams {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state }
    }
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Chunk, Status>> + Send>>;

#[async_trait]
impl stream_server::Stream for Streams {
    type DownloadStream = Chunks;
    type EchoStream = Chunks;

    async fn download(
        &self,
        request: Request<DownloadRequest>,
    ) -> Result<Response<Chunks>, Status> {
        const CHUNK_OVERHEAD: usize = 16; // keys, index and length
        let DownloadRequest { count, size } = request.into_inner();
        let size = size as usize;
        if size + CHUNK_OVERHEAD > MESSAGE_LIMIT {
            return Err(Status::invalid_argument(
                "size: larger than a message may be",
            ));
        }
        let open = Open::new(&self.state);
        let chunks = (0..count).map(move |index| {
            let _held = &open; // until the stream is dropped, by its end or by a cancellation
            Ok(Chunk {
                index,
                data: chunk_data(index, size),
            })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks))))
    }

    async fn echo(&self, request: Request<Streaming<Chunk>>) -> Result<Response<Chunks>, Status> {
        let open = Open::new(&self.state);
        let chunks = request.into_inner().map(move |chunk| {
            let _held = &open;
            chunk
        });
        Ok(Response::new(Box::pin(chunks)))
    }
}

/// The data of the chunk at `index` of a download of chunks of `size` bytes: what a client can
/// compare with. It differs between chunks and compresses about as traces do.
pub fn chunk_data(index: u32, size: usize) -> Bytes {
    let mut block = [0; 4096];
    pattern::fill(u64::from(index), 0, &mut block);
    block[1024..].fill(b' '); // so that 16 MiB stay below the limit when compressed
    let mut data = block.repeat(size.div_ceil(block.len()));
    data.truncate(size);
    data.into()
}

/// Counts one open call for as long as it lives.
struct Open(Arc<State>);

impl Open {
    fn new(state: &Arc<State>) -> Self {
        state.open_streams.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(state))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open_streams.fetch_sub(1, Ordering::Relaxed);
    }
}
