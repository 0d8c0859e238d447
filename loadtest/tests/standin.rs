//! The stand-in through real connections: bytes on the wire, both encodings, TLS, streams, stop.

#![expect(
    clippy::unwrap_used,
    reason = "in the helpers too, a failed unwrap fails the test"
)]

use std::future::poll_fn;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Body as _;
use loadtest::proto::portamento::test::v1::stream_client::StreamClient;
use loadtest::proto::portamento::test::v1::{Chunk, DownloadRequest};
use loadtest::proto::tempopb::{SearchRequest, SearchResponse, TraceByIdResponse};
use loadtest::standin::{LARGEST_ANSWER, MESSAGE_LIMIT, STREAM_LIMIT, chunk_data};
use loadtest::{
    Call, ClientConfig, ClientTls, QuerierClient, StandIn, StandInConfig, TlsIdentity, TraceId,
};
use prost::Message as _;
use tokio_stream::StreamExt as _;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower_service::Service as _;

async fn client(standin: &StandIn) -> QuerierClient {
    QuerierClient::connect(ClientConfig::new(standin.local_addr()))
        .await
        .unwrap()
}

async fn plain_client(standin: &StandIn) -> QuerierClient {
    let config = ClientConfig {
        snappy: false,
        ..ClientConfig::new(standin.local_addr())
    };
    QuerierClient::connect(config).await.unwrap()
}

/// A download that has begun and does not end by itself.
async fn endless_download(standin: &StandIn) -> tonic::Streaming<Chunk> {
    let mut streams = StreamClient::new(client(standin).await.channel());
    let endless = DownloadRequest {
        count: u32::MAX,
        size: 1_000,
    };
    let mut chunks = streams.download(endless).await.unwrap().into_inner();
    chunks.message().await.unwrap().unwrap();
    chunks
}

/// Waits until `condition` holds.
///
/// # Panics
/// After ten seconds.
async fn eventually(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "it never came true"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// One call by hand: the headers and the whole body of the answer, as they are on the wire.
async fn raw_call(
    standin: &StandIn,
    headers: &[(&'static str, &'static str)],
    message: &[u8],
) -> (http::HeaderMap, Vec<u8>) {
    let uri = format!("http://{}", standin.local_addr());
    let mut channel = Endpoint::from_shared(uri.clone())
        .unwrap()
        .connect()
        .await
        .unwrap();
    poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let mut request = http::Request::post(format!("{uri}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Body::new(OneFrame(Some(Bytes::copy_from_slice(message))));
    let (parts, mut body) = channel
        .call(request.body(body).unwrap())
        .await
        .unwrap()
        .into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        bytes.extend(frame.unwrap().into_data().unwrap_or_default());
    }
    (parts.headers, bytes)
}

/// A body of one frame.
struct OneFrame(Option<Bytes>);

impl http_body::Body for OneFrame {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, tonic::Status>>> {
        std::task::Poll::Ready(self.0.take().map(|data| Ok(http_body::Frame::data(data))))
    }
}

/// `HealthCheckRequest { service: "tempo" }`.
const REQUEST: &[u8] = b"\x0a\x05tempo";
/// `HealthCheckResponse { status: SERVING }`.
const SERVING: &[u8] = b"\x08\x01";

/// A message with its gRPC prefix.
fn message(flag: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [&[flag][..], &length.to_be_bytes(), payload].concat()
}

fn framed_snappy(payload: &[u8]) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    std::io::Write::write_all(&mut encoder, payload).unwrap();
    encoder.into_inner().unwrap()
}

#[tokio::test]
async fn a_client_without_snappy_gets_plain_messages() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let (headers, body) = raw_call(&standin, &[], &message(0, REQUEST)).await;
    assert_eq!(headers.get("grpc-encoding"), None);
    assert_eq!(body, message(0, SERVING));
}

#[tokio::test]
async fn snappy_is_spoken_to_whoever_announces_or_sends_it() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let accepts = [("grpc-accept-encoding", "gzip,snappy")];
    let sends = [("grpc-encoding", "snappy")];
    let cases = [
        (&accepts, message(0, REQUEST)),
        (&sends, message(1, &framed_snappy(REQUEST))),
        (&sends, message(0, REQUEST)), // the header only says what the flag may mean
    ];
    for (headers, request) in cases {
        let (headers, body) = raw_call(&standin, headers, &request).await;
        assert_eq!(headers.get("grpc-encoding").unwrap(), "snappy");
        assert_eq!(body, message(1, &framed_snappy(SERVING)));
    }
}

#[tokio::test]
async fn a_broken_snappy_request_is_refused() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let broken = message(1, b"not a snappy stream");
    let (headers, body) = raw_call(&standin, &[("grpc-encoding", "snappy")], &broken).await;
    assert_eq!(headers.get("grpc-status").unwrap(), "13"); // INTERNAL
    assert!(body.is_empty());
}

#[tokio::test]
async fn both_encodings_carry_the_same_answers() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let (snappy, plain) = (client(&standin).await, plain_client(&standin).await);
    for size in [1_024, 70_000, 1_000_000, LARGEST_ANSWER] {
        let id = TraceId::sized(size, 1);
        let answer = snappy.find_trace(id).await.unwrap();
        assert!(answer.len() <= size && answer.len() + 48 >= size);
        assert!(answer == plain.find_trace(id).await.unwrap());
        TraceByIdResponse::decode(answer).unwrap();
    }
    let search = Call::search_recent(&SearchRequest::default());
    let answer = snappy.call(&search).await.unwrap();
    assert_eq!(answer, plain.call(&search).await.unwrap());
    assert_eq!(SearchResponse::decode(answer).unwrap().traces.len(), 20);
}

#[tokio::test]
async fn two_servers_with_one_seed_answer_alike() {
    let first = StandIn::start(StandInConfig::default()).unwrap();
    let second = StandIn::start(StandInConfig::default()).unwrap();
    let id = TraceId::sized(30_000, 5);
    let answer = client(&first).await.find_trace(id).await.unwrap();
    assert_eq!(answer, client(&second).await.find_trace(id).await.unwrap());
}

#[tokio::test]
async fn health_follows_the_handle() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let client = client(&standin).await;
    client.check_health().await.unwrap();
    standin.set_serving(false);
    let status = client.check_health().await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn messages_of_the_largest_size_pass_both_ways() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let mut streams = StreamClient::new(client(&standin).await.channel())
        .max_decoding_message_size(MESSAGE_LIMIT);
    let data = chunk_data(0, MESSAGE_LIMIT - 16);
    let chunk = Chunk {
        index: 1,
        data: data.clone(),
    };
    let echoed = streams.echo(tokio_stream::once(chunk)).await.unwrap();
    let echoed = echoed.into_inner().message().await.unwrap().unwrap();
    assert!(echoed.data == data);
}

#[tokio::test]
async fn a_download_is_what_it_should_be() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let mut streams = StreamClient::new(plain_client(&standin).await.channel());
    let request = DownloadRequest {
        count: 20,
        size: 10_000,
    };
    let mut chunks = streams.download(request).await.unwrap().into_inner();
    for index in 0..20 {
        let chunk = chunks.message().await.unwrap().unwrap();
        assert_eq!(chunk.index, index);
        assert!(chunk.data == chunk_data(index, 10_000));
    }
    assert_eq!(chunks.message().await.unwrap(), None);
    drop(chunks);
    eventually(|| standin.open_streams() == 0).await;
}

#[tokio::test]
async fn a_cancelled_stream_ends_at_the_server() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let chunks = endless_download(&standin).await;
    assert_eq!(standin.open_streams(), 1);
    drop(chunks);
    eventually(|| standin.open_streams() == 0).await;
}

#[tokio::test]
async fn as_many_streams_as_tempo_allows_stay_open_at_once() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let streams = StreamClient::new(client(&standin).await.channel());
    let mut open = Vec::new();
    for index in 0..STREAM_LIMIT {
        let (send, receive) = tokio::sync::mpsc::channel(1);
        let data = Bytes::new();
        send.send(Chunk { index, data }).await.unwrap();
        let sent = async_stream(receive);
        let mut echoed = streams.clone().echo(sent).await.unwrap().into_inner();
        assert_eq!(echoed.next().await.unwrap().unwrap().index, index);
        open.push((send, echoed));
    }
    assert_eq!(standin.open_streams(), STREAM_LIMIT as usize);
    drop(open);
    eventually(|| standin.open_streams() == 0).await;
}

/// The receiver as a stream.
fn async_stream(
    mut receive: tokio::sync::mpsc::Receiver<Chunk>,
) -> impl tokio_stream::Stream<Item = Chunk> + Send + 'static {
    struct FromFn<F>(F);
    impl<T, F> tokio_stream::Stream for FromFn<F>
    where
        F: FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<T>> + Unpin,
    {
        type Item = T;

        fn poll_next(
            mut self: Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<T>> {
            (self.0)(cx)
        }
    }
    FromFn(move |cx: &mut std::task::Context<'_>| receive.poll_recv(cx))
}

#[tokio::test]
async fn tls_carries_the_same_answers_and_asks_for_a_client_certificate() {
    let pki = Pki::new();
    let standin = StandIn::start(StandInConfig {
        tls: Some(pki.server()),
        client_ca: Some(pki.ca()),
        ..StandInConfig::default()
    })
    .unwrap();
    let config = |identity| ClientConfig {
        tls: Some(ClientTls {
            ca: pki.ca(),
            server_name: "live-store".to_owned(),
            identity,
        }),
        ..ClientConfig::new(standin.local_addr())
    };
    let known = QuerierClient::connect(config(Some(pki.server())))
        .await
        .unwrap();
    let answer = known.find_trace(TraceId::sized(200_000, 1)).await.unwrap();

    let plain = StandIn::start(StandInConfig::default()).unwrap();
    let expected = client(&plain)
        .await
        .find_trace(TraceId::sized(200_000, 1))
        .await
        .unwrap();
    assert!(answer == expected);

    let stranger = match QuerierClient::connect(config(None)).await {
        Ok(stranger) => stranger.check_health().await.is_err(), // TLS 1.3 refuses after connecting
        Err(_) => true,
    };
    assert!(stranger);
}

/// A self-signed certificate that serves as its own authority.
struct Pki(rcgen::CertifiedKey<rcgen::KeyPair>);

impl Pki {
    fn new() -> Self {
        Self(rcgen::generate_simple_self_signed(["live-store".to_owned()]).unwrap())
    }

    fn ca(&self) -> String {
        self.0.cert.pem()
    }

    fn server(&self) -> TlsIdentity {
        TlsIdentity {
            certificate: self.0.cert.pem(),
            key: self.0.signing_key.serialize_pem(),
        }
    }
}

#[tokio::test]
async fn a_stop_lets_the_answer_in_flight_finish() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let addr = standin.local_addr();
    let client = client(&standin).await;
    let mut streams = StreamClient::new(client.channel());
    let request = DownloadRequest {
        count: 200,
        size: 100_000,
    };
    let mut chunks = streams.download(request).await.unwrap().into_inner();
    chunks.message().await.unwrap().unwrap();
    let stopping = std::thread::spawn(move || standin.stop(Duration::from_secs(30)));
    let mut count = 1;
    while chunks.message().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 200);
    drop((chunks, streams, client));
    stopping.join().unwrap().unwrap();
    std::net::TcpStream::connect(addr).unwrap_err();
}

#[tokio::test]
async fn a_dropped_standin_cuts_its_calls() {
    let standin = StandIn::start(StandInConfig::default()).unwrap();
    let mut chunks = endless_download(&standin).await;
    drop(standin);
    while let Ok(chunk) = chunks.message().await {
        assert!(chunk.is_some(), "the stream ended as if it were whole");
    }
}

#[test]
fn an_address_in_use_is_an_error() {
    let first = StandIn::start(StandInConfig::default()).unwrap();
    let listen = first.local_addr();
    let second = StandIn::start(StandInConfig {
        listen,
        ..StandInConfig::default()
    });
    assert!(
        second
            .unwrap_err()
            .to_string()
            .contains(&listen.to_string())
    );
}
