//! Real gRPC through the forwarder: what it carries most, and what is hardest on it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that can't go on should say so and end"
)]

mod support;

use std::{net::SocketAddr, time::Instant};

use loadtest::{
    Call, ClientConfig, ClientTls, QuerierClient, StandIn, StandInConfig, TlsIdentity, TraceId,
    proto::portamento::test::v1::{Chunk, DownloadRequest, stream_client::StreamClient},
    standin::{LARGEST_ANSWER, MESSAGE_LIMIT, SMALLEST_ANSWER, STREAM_LIMIT, chunk_data},
};
use portamento::config::Engine;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::{Forwarder, PATIENCE, config_for, eventually, for_each_engine};
use tokio_stream::StreamExt as _;

/// A stand-in for a live-store, the forwarder before it, and a client of each.
struct Rig {
    standin: StandIn,
    forwarder: Forwarder,
    direct: QuerierClient,
    through: QuerierClient,
}

impl Rig {
    async fn new(engine: Engine) -> Self {
        let standin = StandIn::start(StandInConfig::default()).unwrap();
        let forwarder = Forwarder::start(config_for(standin.local_addr(), engine));
        let direct = QuerierClient::connect(config(standin.local_addr()))
            .await
            .unwrap();
        let through = QuerierClient::connect(config(forwarder.addr()))
            .await
            .unwrap();
        Self {
            standin,
            forwarder,
            direct,
            through,
        }
    }

    fn streams(&self) -> StreamClient<loadtest::QuerierChannel> {
        StreamClient::new(self.through.channel())
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT)
    }
}

fn config(addr: SocketAddr) -> ClientConfig {
    let mut config = ClientConfig::new(addr);
    config.call_timeout = 3 * PATIENCE; // without optimisation, 16 MiB take their time
    config
}

/// Runs a case for every engine, on a runtime of its own.
fn with_each_engine(case: impl AsyncFn(Rig) + Sync) {
    for_each_engine(|engine| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async { case(Rig::new(engine).await).await });
    });
}

#[test]
fn every_answer_is_the_same_as_without_the_forwarder() {
    with_each_engine(async |rig| {
        let sizes = [SMALLEST_ANSWER, 16 * 1024, 65_536, 1 << 20, LARGEST_ANSWER];
        for (number, size) in sizes.into_iter().enumerate() {
            let call = Call::find_trace(TraceId::sized(size, number as u64));
            let direct = rig.direct.call(&call).await.unwrap();
            let through = rig.through.call(&call).await.unwrap();
            assert!(
                direct.len() > size * 9 / 10,
                "an answer of {} bytes",
                direct.len()
            );
            assert!(direct == through, "the answers of {size} bytes differ");
        }
        rig.through.check_health().await.unwrap();
        rig.standin.set_serving(false);
        rig.through.check_health().await.unwrap_err();
    });
}

#[test]
fn a_connection_carries_as_many_streams_as_the_server_allows() {
    with_each_engine(async |rig| {
        let calls = (0..u64::from(STREAM_LIMIT)).map(|number| {
            let (client, direct) = (rig.through.clone(), rig.direct.clone());
            tokio::spawn(async move {
                let call = Call::find_trace(TraceId::sized(20_000, number));
                let (through, direct) = tokio::join!(client.call(&call), direct.call(&call));
                assert!(
                    through.unwrap() == direct.unwrap(),
                    "the answers of call {number} differ"
                );
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap();
        }
        assert_eq!(
            rig.forwarder.totals().accepted,
            1,
            "all went over one connection"
        );
    });
}

#[test]
fn health_checks_get_through_beside_the_largest_traces() {
    with_each_engine(async |rig| {
        let large = tokio::spawn({
            let client = rig.through.clone();
            async move {
                for number in 0..2 {
                    client
                        .find_trace(TraceId::sized(LARGEST_ANSWER, number))
                        .await
                        .unwrap();
                }
            }
        });
        let mut checks = 0;
        while !large.is_finished() {
            rig.through.check_health().await.unwrap();
            checks += 1;
        }
        large.await.unwrap();
        assert!(checks > 0, "there was time for one");
    });
}

#[test]
fn a_server_streams_down_message_by_message() {
    with_each_engine(async |rig| {
        let size = 100_000;
        let request = DownloadRequest { count: 50, size };
        let mut chunks = rig.streams().download(request).await.unwrap().into_inner();
        let mut count = 0;
        while let Some(chunk) = chunks.next().await {
            let Chunk { index, data } = chunk.unwrap();
            assert_eq!(index, count);
            assert!(
                data == chunk_data(index, size as usize),
                "chunk {index} differs"
            );
            count += 1;
        }
        assert_eq!(count, 50);
    });
}

#[test]
fn messages_of_16_mib_pass_both_ways() {
    with_each_engine(async |rig| {
        let data = chunk_data(7, MESSAGE_LIMIT - 1024);
        let sent = tokio_stream::iter([Chunk {
            index: 7,
            data: data.clone(),
        }]);
        let mut back = rig.streams().echo(sent).await.unwrap().into_inner();
        let chunk = back.next().await.unwrap().unwrap();
        assert!(chunk.data == data, "what came back differs");
        assert!(
            back.next().await.is_none(),
            "the client's end has reached the server"
        );
    });
}

#[test]
fn a_cancellation_reaches_the_server_and_spares_the_other_calls() {
    with_each_engine(async |rig| {
        let endless = DownloadRequest {
            count: u32::MAX,
            size: 100_000,
        };
        let mut cancelled = rig.streams().download(endless).await.unwrap().into_inner();
        cancelled.next().await.unwrap().unwrap();
        assert_eq!(rig.standin.open_streams(), 1);
        drop(cancelled);
        while rig.standin.open_streams() > 0 {
            rig.through.check_health().await.unwrap(); // the connection lives on
        }
    });
}

#[test]
fn a_server_that_stops_gracefully_is_not_kept_waiting() {
    with_each_engine(async |rig| {
        let endless = DownloadRequest {
            count: u32::MAX,
            size: 100_000,
        };
        let mut chunks = rig.streams().download(endless).await.unwrap().into_inner();
        chunks.next().await.unwrap().unwrap();
        let Rig {
            standin,
            forwarder,
            direct,
            through,
        } = rig;
        let began = Instant::now();
        let stopping = tokio::task::spawn_blocking(move || standin.stop(PATIENCE));
        chunks.next().await.unwrap().unwrap(); // what is under way goes on
        drop((chunks, direct, through));
        // GOAWAY has come through, and both ends of the stream: else it would wait in vain.
        stopping.await.unwrap().unwrap();
        assert!(began.elapsed() < PATIENCE, "it was cut in the end");
        eventually("the connection has ended", || {
            forwarder.totals().active == 0
        });
    });
}

#[test]
fn tls_passes_end_to_end_with_certificates_on_both_sides() {
    with_each_engine(async |rig| {
        let authority = authority();
        let standin = StandIn::start(StandInConfig {
            tls: Some(identity(&authority, "live-store")),
            client_ca: Some(authority.pem()),
            ..StandInConfig::default()
        })
        .unwrap();
        let forwarder = Forwarder::start(config_for(standin.local_addr(), Engine::Auto));
        let mut config = config(forwarder.addr());
        config.tls = Some(ClientTls {
            ca: authority.pem(),
            server_name: "live-store".to_owned(),
            identity: Some(identity(&authority, "querier")),
        });
        let client = QuerierClient::connect(config.clone()).await.unwrap();
        let id = TraceId::sized(1 << 20, 1);
        let (encrypted, plain) = tokio::join!(client.find_trace(id), rig.direct.find_trace(id));
        assert!(encrypted.unwrap() == plain.unwrap(), "the answers differ");

        // It is the server that says no, through the forwarder, which knows of no certificates.
        config.tls.as_mut().unwrap().identity = None;
        let refused = match QuerierClient::connect(config).await {
            Ok(client) => client.check_health().await.is_err(),
            Err(_) => true,
        };
        assert!(refused, "a client without a certificate was let in");
    });
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn identity(authority: &CertifiedIssuer<'static, KeyPair>, name: &str) -> TlsIdentity {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    TlsIdentity {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}
