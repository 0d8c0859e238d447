//! A querier's side of one connection to a live-store.

mod channel;
mod codec;

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

pub use self::channel::QuerierChannel;
use self::codec::BytesCodec;
use crate::proto::grpc::health::v1::health_check_response::ServingStatus;
use crate::proto::grpc::health::v1::{HealthCheckRequest, HealthCheckResponse};
use crate::proto::tempopb;
use crate::standin::{TlsIdentity, TraceId};

/// The largest answer that is taken, bytes: as much as Tempo's client takes by default
/// (`grpc_client_config.max_recv_msg_size`).
pub(crate) const LARGEST_ANSWER: usize = 100 << 20;

/// How a [`QuerierClient`] connects. The defaults of [`ClientConfig::new`] are those of a querier.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `IP:PORT`, `[V6]:PORT` or `NAME:PORT`.
    pub addr: String,
    /// Speaks TLS instead of plain text.
    pub tls: Option<ClientTls>,
    /// Sent with each call as `x-scope-orgid`.
    pub tenant: String,
    /// Whether requests are compressed with snappy and such answers asked for.
    pub snappy: bool,
    /// The deadline of a call, sent as `grpc-timeout` and kept by the client as well.
    pub call_timeout: Duration,
    /// The whole time to connect.
    pub connect_timeout: Duration,
}

impl ClientConfig {
    /// Plain text to `addr`, tenant `single-tenant`, snappy, 10 s a call, 5 s to connect.
    pub fn new(addr: impl ToString) -> Self {
        Self {
            addr: addr.to_string(),
            tls: None,
            tenant: "single-tenant".to_owned(),
            snappy: true,
            call_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
        }
    }
}

/// Whom a client trusts, and who it is.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// The certificate authority's certificate, PEM.
    pub ca: String,
    /// The name that the server's certificate must bear (Tempo's `tls_server_name`).
    pub server_name: String,
    /// The client's own certificate, for mutual TLS.
    pub identity: Option<TlsIdentity>,
}

/// One method and the request to it, encoded once and sent as often as needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `/package.Service/Method`.
    path: &'static str,
    request: Bytes,
}

impl Call {
    /// `grpc.health.v1.Health/Check`.
    pub fn health() -> Self {
        Self::of(
            "/grpc.health.v1.Health/Check",
            &HealthCheckRequest::default(),
        )
    }

    /// `tempopb.Querier/FindTraceByID`.
    pub fn find_trace(id: TraceId) -> Self {
        let request = tempopb::TraceByIdRequest {
            trace_id: Bytes::copy_from_slice(id.as_bytes()),
            query_mode: "recent".to_owned(),
            allow_partial_trace: true,
            ..Default::default()
        };
        Self::of("/tempopb.Querier/FindTraceByID", &request)
    }

    /// `tempopb.Querier/SearchRecent`.
    pub fn search_recent(request: &tempopb::SearchRequest) -> Self {
        Self::of("/tempopb.Querier/SearchRecent", request)
    }

    /// `tempopb.Querier/SearchTagsV2`.
    pub fn search_tags(request: &tempopb::SearchTagsRequest) -> Self {
        Self::of("/tempopb.Querier/SearchTagsV2", request)
    }

    /// `tempopb.Querier/SearchTagValuesV2`.
    pub fn search_tag_values(request: &tempopb::SearchTagValuesRequest) -> Self {
        Self::of("/tempopb.Querier/SearchTagValuesV2", request)
    }

    /// `tempopb.Metrics/QueryRange`.
    pub fn query_range(request: &tempopb::QueryRangeRequest) -> Self {
        Self::of("/tempopb.Metrics/QueryRange", request)
    }

    /// `Service/Method` without the package, for people to read.
    pub fn name(&self) -> &'static str {
        self.path
            .rsplit_once('.')
            .map_or(self.path, |(_, name)| name)
    }

    fn of(path: &'static str, request: &impl Message) -> Self {
        Self {
            path,
            request: request.encode_to_vec().into(),
        }
    }
}

/// A client with one HTTP/2 connection, kept for ever and made anew when it breaks. Clones share
/// the connection; any number of calls may run on it at a time.
#[derive(Clone, Debug)]
pub struct QuerierClient {
    channel: QuerierChannel,
    call_timeout: Duration,
}

impl QuerierClient {
    /// Connects, and returns when the connection stands.
    ///
    /// # Errors
    /// When address, tenant or certificates are malformed, or the connection cannot be made in
    /// time.
    pub async fn connect(config: ClientConfig) -> anyhow::Result<Self> {
        let addr = &config.addr;
        let endpoint = endpoint(&config)?;
        let tenant = config
            .tenant
            .parse()
            .context("the tenant is not a header value")?;
        let channel = endpoint
            .connect()
            .await
            .with_context(|| format!("cannot connect to {addr}"))?;
        Ok(Self {
            channel: QuerierChannel::new(channel, tenant, config.snappy),
            call_timeout: config.call_timeout,
        })
    }

    /// Makes `call` and returns the whole encoded answer, decompressed.
    ///
    /// # Errors
    /// The status with which the server or the transport ended the call.
    pub async fn call(&self, call: &Call) -> Result<Bytes, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(LARGEST_ANSWER);
        grpc.ready()
            .await
            .map_err(|error| Status::from_error(error.into()))?;
        let mut request = Request::new(call.request.clone());
        request.set_timeout(self.call_timeout);
        let path = PathAndQuery::from_static(call.path);
        Ok(grpc.unary(request, path, BytesCodec).await?.into_inner())
    }

    /// Reads trace `id`: the whole encoded `TraceByIDResponse`.
    ///
    /// # Errors
    /// As [`QuerierClient::call`].
    pub async fn find_trace(&self, id: TraceId) -> Result<Bytes, Status> {
        self.call(&Call::find_trace(id)).await
    }

    /// Checks the server's health as the connection pool of a querier does.
    ///
    /// # Errors
    /// As [`QuerierClient::call`], and `UNAVAILABLE` when the server says that it is not serving.
    pub async fn check_health(&self) -> Result<(), Status> {
        let answer = self.call(&Call::health()).await?;
        let answer = HealthCheckResponse::decode(answer)
            .map_err(|error| Status::internal(error.to_string()))?;
        match answer.status() {
            ServingStatus::Serving => Ok(()),
            status => Err(Status::unavailable(status.as_str_name())),
        }
    }

    /// The connection, for the generated clients in [`crate::proto`]. Tenant and snappy are added
    /// to their calls as well; deadlines are not.
    pub fn channel(&self) -> QuerierChannel {
        self.channel.clone()
    }
}

/// The settings of Tempo's client: keepalive and windows as grpc-go has them.
fn endpoint(config: &ClientConfig) -> anyhow::Result<Endpoint> {
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{}", config.addr))
        .with_context(|| format!("'{}' is not an address", config.addr))?
        .connect_timeout(config.connect_timeout)
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    let Some(tls) = &config.tls else {
        return Ok(endpoint);
    };
    let mut settings = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&tls.ca))
        .domain_name(&tls.server_name);
    if let Some(TlsIdentity { certificate, key }) = &tls.identity {
        settings = settings.identity(Identity::from_pem(certificate, key));
    }
    endpoint
        .tls_config(settings)
        .context("cannot use the certificates")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_readable_names() {
        assert_eq!(Call::health().name(), "Health/Check");
        assert_eq!(
            Call::find_trace(TraceId::sized(2_000, 1)).name(),
            "Querier/FindTraceByID"
        );
    }
}
