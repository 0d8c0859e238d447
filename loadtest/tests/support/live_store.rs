//! A live-store that is not the stand-in: a few lines over tonic, which know nothing of snappy, of
//! traces by size, or of anything else that the stand-in does to please the client.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use bytes::Bytes;
use loadtest::proto::grpc::health::v1::health_check_response::ServingStatus;
use loadtest::proto::grpc::health::v1::health_server::{Health, HealthServer};
use loadtest::proto::grpc::health::v1::{HealthCheckRequest, HealthCheckResponse};
use loadtest::proto::tempopb as pb;
use loadtest::proto::tempopb::metrics_server::{Metrics, MetricsServer};
use loadtest::proto::tempopb::querier_server::{Querier, QuerierServer};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status, async_trait};

/// The only tenant that it knows.
pub(crate) const TENANT: &str = "team-a";

/// Its traces: the ID without leading zeros, as a search tells it, and the size.
pub(crate) const TRACES: [(&str, usize); 3] = [
    ("abc", 3_000),
    ("a1b2c3d4e5f60718", 40_000),
    ("4bf92f3577b34da6a3ce929d0e0e4736", 700_000),
];

/// Starts one, which ends with the test process. It fails `QueryRange`.
pub(crate) fn start(tls: Option<ServerTlsConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut server = Server::builder();
    if let Some(tls) = tls {
        server = server.tls_config(tls).unwrap();
    }
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            server
                .add_service(QuerierServer::new(LiveStore))
                .add_service(MetricsServer::new(LiveStore))
                .add_service(HealthServer::new(LiveStore))
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
    });
    addr
}

struct LiveStore;

fn known<T>(request: &Request<T>) -> Result<(), Status> {
    let tenant = request.metadata().get("x-scope-orgid");
    match tenant.and_then(|tenant| tenant.to_str().ok()) {
        Some(TENANT) => Ok(()),
        other => Err(Status::unauthenticated(format!(
            "no such tenant: {other:?}"
        ))),
    }
}

#[async_trait]
impl Querier for LiveStore {
    async fn find_trace_by_id(
        &self,
        request: Request<pb::TraceByIdRequest>,
    ) -> Result<Response<pb::TraceByIdResponse>, Status> {
        known(&request)?;
        let id = &request.get_ref().trace_id;
        let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let found = TRACES
            .iter()
            .find(|(known, _)| id.len() == 16 && digits == format!("{known:0>32}"));
        let Some(&(known, size)) = found else {
            return Err(Status::not_found(format!("no trace {digits}")));
        };
        let trace: Vec<u8> = known.bytes().cycle().take(size).collect();
        Ok(Response::new(pb::TraceByIdResponse {
            trace: Bytes::from(trace),
            ..Default::default()
        }))
    }

    async fn search_recent(
        &self,
        request: Request<pb::SearchRequest>,
    ) -> Result<Response<pb::SearchResponse>, Status> {
        known(&request)?;
        let traces = TRACES.iter().map(|(id, _)| pb::TraceSearchMetadata {
            trace_id: (*id).to_owned(),
            ..Default::default()
        });
        Ok(Response::new(pb::SearchResponse {
            traces: traces.collect(),
            metrics: None,
        }))
    }

    async fn search_tags(
        &self,
        _: Request<pb::SearchTagsRequest>,
    ) -> Result<Response<pb::SearchTagsResponse>, Status> {
        Err(Status::unimplemented("the first version"))
    }

    async fn search_tags_v2(
        &self,
        request: Request<pb::SearchTagsRequest>,
    ) -> Result<Response<pb::SearchTagsV2Response>, Status> {
        known(&request)?;
        Ok(Response::new(pb::SearchTagsV2Response::default()))
    }

    async fn search_tag_values(
        &self,
        _: Request<pb::SearchTagValuesRequest>,
    ) -> Result<Response<pb::SearchTagValuesResponse>, Status> {
        Err(Status::unimplemented("the first version"))
    }

    async fn search_tag_values_v2(
        &self,
        request: Request<pb::SearchTagValuesRequest>,
    ) -> Result<Response<pb::SearchTagValuesV2Response>, Status> {
        known(&request)?;
        Ok(Response::new(pb::SearchTagValuesV2Response::default()))
    }
}

#[async_trait]
impl Metrics for LiveStore {
    async fn query_range(
        &self,
        _: Request<pb::QueryRangeRequest>,
    ) -> Result<Response<pb::QueryRangeResponse>, Status> {
        Err(Status::unimplemented("no metrics here"))
    }
}

#[async_trait]
impl Health for LiveStore {
    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse {
            status: ServingStatus::Serving.into(),
        }))
    }
}
