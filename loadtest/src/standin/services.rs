//! The services that a live-store offers to queriers.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use tonic::{Request, Response, Status, async_trait};

use super::State;
use super::answers::Answers;
use super::trace_id::TraceId;
use super::traces::Traces;
use crate::proto::grpc::health::v1::health_check_response::ServingStatus;
use crate::proto::grpc::health::v1::{self as health, health_server};
use crate::proto::tempopb as pb;
use crate::proto::tempopb::{metrics_server, querier_server};

/// Answers every call from its seed and the request alone.
#[derive(Debug)]
pub(super) struct LiveStore {
    answers: Answers,
    traces: Mutex<Traces>,
}

impl LiveStore {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            answers: Answers::new(seed),
            traces: Mutex::new(Traces::new(seed)),
        }
    }
}

#[async_trait]
impl querier_server::Querier for LiveStore {
    async fn find_trace_by_id(
        &self,
        request: Request<pb::TraceByIdRequest>,
    ) -> Result<Response<pb::TraceByIdResponse>, Status> {
        let id = TraceId::from_request(&request.get_ref().trace_id)
            .ok_or_else(|| Status::invalid_argument("traceID: 1 to 16 bytes"))?;
        // Whoever panicked with the lock held left whole answers behind.
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Response::new(traces.answer(id)))
    }

    async fn search_recent(
        &self,
        request: Request<pb::SearchRequest>,
    ) -> Result<Response<pb::SearchResponse>, Status> {
        Ok(Response::new(self.answers.search(request.get_ref())))
    }

    async fn search_tags(
        &self,
        request: Request<pb::SearchTagsRequest>,
    ) -> Result<Response<pb::SearchTagsResponse>, Status> {
        Ok(Response::new(self.answers.tags(request.get_ref())))
    }

    async fn search_tags_v2(
        &self,
        request: Request<pb::SearchTagsRequest>,
    ) -> Result<Response<pb::SearchTagsV2Response>, Status> {
        Ok(Response::new(self.answers.scoped_tags(request.get_ref())))
    }

    async fn search_tag_values(
        &self,
        request: Request<pb::SearchTagValuesRequest>,
    ) -> Result<Response<pb::SearchTagValuesResponse>, Status> {
        Ok(Response::new(self.answers.tag_values(request.get_ref())))
    }

    async fn search_tag_values_v2(
        &self,
        request: Request<pb::SearchTagValuesRequest>,
    ) -> Result<Response<pb::SearchTagValuesV2Response>, Status> {
        Ok(Response::new(
            self.answers.typed_tag_values(request.get_ref()),
        ))
    }
}

#[async_trait]
impl metrics_server::Metrics for LiveStore {
    async fn query_range(
        &self,
        request: Request<pb::QueryRangeRequest>,
    ) -> Result<Response<pb::QueryRangeResponse>, Status> {
        Ok(Response::new(self.answers.query_range(request.get_ref())?))
    }
}

/// Answers for every service name alike, as Tempo does.
#[derive(Debug)]
pub(super) struct Health(pub(super) Arc<State>);

#[async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        _: Request<health::HealthCheckRequest>,
    ) -> Result<Response<health::HealthCheckResponse>, Status> {
        let status = match self.0.serving.load(Ordering::Relaxed) {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        Ok(Response::new(health::HealthCheckResponse {
            status: status.into(),
        }))
    }
}
