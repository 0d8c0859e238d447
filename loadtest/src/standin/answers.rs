//! What searches, tags and metrics answer: a few KiB each, fixed by the seed and the request.

use prost::Message;
use tonic::Status;

use super::trace_id::TraceId;
use super::traces::{EPOCH_NS, ROUTES, SERVICES, text};
use crate::proto::tempopb as pb;
use crate::seed::Seeded;

/// The answers of one seed.
#[derive(Debug)]
pub(super) struct Answers {
    seed: u64,
}

impl Answers {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// As many traces as the request's limit says: most of them small, each fifth of some MiB.
    pub(super) fn search(&self, request: &pb::SearchRequest) -> pb::SearchResponse {
        let mut seeded = self.keyed(request);
        let limit = bounded(request.limit, 20, 1_000);
        let spans = bounded(request.spans_per_span_set, 3, 100);
        let traces = (0..limit)
            .map(|place| trace_metadata(&mut seeded, place, spans))
            .collect();
        pb::SearchResponse {
            traces,
            metrics: Some(pb::SearchMetrics {
                inspected_traces: 1_000 + limit,
                inspected_bytes: 40_000_000,
                inspected_spans: 100_000,
                total_blocks: 4,
                total_jobs: 1,
                completed_jobs: 1,
                total_block_bytes: 80_000_000,
            }),
        }
    }

    pub(super) fn tags(&self, request: &pb::SearchTagsRequest) -> pb::SearchTagsResponse {
        let scopes = self.scopes(request);
        let mut tag_names: Vec<String> = scopes.into_iter().flat_map(|scope| scope.tags).collect();
        tag_names.sort_unstable();
        pb::SearchTagsResponse {
            tag_names,
            metrics: metadata_metrics(),
        }
    }

    pub(super) fn scoped_tags(&self, request: &pb::SearchTagsRequest) -> pb::SearchTagsV2Response {
        pb::SearchTagsV2Response {
            scopes: self.scopes(request),
            metrics: metadata_metrics(),
        }
    }

    pub(super) fn tag_values(
        &self,
        request: &pb::SearchTagValuesRequest,
    ) -> pb::SearchTagValuesResponse {
        pb::SearchTagValuesResponse {
            tag_values: self.values(request),
            metrics: metadata_metrics(),
        }
    }

    pub(super) fn typed_tag_values(
        &self,
        request: &pb::SearchTagValuesRequest,
    ) -> pb::SearchTagValuesV2Response {
        let typed = |value| pb::TagValue {
            r#type: "string".to_owned(),
            value,
        };
        pb::SearchTagValuesV2Response {
            tag_values: self.values(request).into_iter().map(typed).collect(),
            metrics: metadata_metrics(),
        }
    }

    /// One series a service and route, with a sample each step, or one for an instant query.
    ///
    /// # Errors
    /// When the times make no range, or one of more than 11,000 samples.
    pub(super) fn query_range(
        &self,
        request: &pb::QueryRangeRequest,
    ) -> Result<pb::QueryRangeResponse, Status> {
        let range = request
            .end
            .checked_sub(request.start)
            .ok_or_else(|| Status::invalid_argument("end: before start"))?;
        let samples = match request.instant {
            Some(true) => 1,
            _ => range / request.step.max(1) + 1,
        };
        if samples > 11_000 {
            return Err(Status::invalid_argument("step: more than 11,000 samples"));
        }
        let mut seeded = self.keyed(request);
        let series = SERVICES
            .iter()
            .flat_map(|service| ROUTES.iter().map(move |route| (service, route)))
            .take(bounded(request.max_series, 1_000, 1_000) as usize)
            .map(|(service, route)| pb::TimeSeries {
                labels: vec![text("service.name", service), text("http.route", route)],
                samples: (0..samples)
                    .map(|n| sample(&mut seeded, request, n))
                    .collect(),
            })
            .collect();
        Ok(pb::QueryRangeResponse {
            series,
            ..Default::default()
        })
    }

    fn scopes(&self, request: &pb::SearchTagsRequest) -> Vec<pb::SearchTagsV2Scope> {
        let limit = bounded(request.max_tags_per_scope, 1_000, 1_000) as usize;
        let scope = |name: &str, tags: Vec<String>| pb::SearchTagsV2Scope {
            name: name.to_owned(),
            tags: tags.into_iter().take(limit).collect(),
        };
        let mut seeded = self.keyed(request);
        let mut custom = |prefix: &str, count| {
            let name = |n| format!("{prefix}.attribute_{n:02}.{:06x}", seeded.next_u64() >> 40);
            (0..count).map(name).collect::<Vec<_>>()
        };
        [
            scope("resource", custom("k8s.label", 30)),
            scope("span", custom("app", 60)),
            scope("intrinsic", INTRINSICS.map(str::to_owned).to_vec()),
        ]
        .into_iter()
        .filter(|scope| request.scope.is_empty() || request.scope == scope.name)
        .collect()
    }

    fn values(&self, request: &pb::SearchTagValuesRequest) -> Vec<String> {
        let mut seeded = self.keyed(request);
        let limit = bounded(request.max_tag_values, 100, 100);
        let tag = &request.tag_name;
        (0..limit)
            .map(|n| format!("{tag}-{n:03}-{:06x}", seeded.next_u64() >> 40))
            .collect()
    }

    fn keyed(&self, request: &impl Message) -> Seeded {
        Seeded::keyed(self.seed, &request.encode_to_vec())
    }
}

const INTRINSICS: [&str; 6] = [
    "duration",
    "kind",
    "name",
    "rootName",
    "rootServiceName",
    "status",
];

/// A limit of a request, where 0 stands for the default.
fn bounded(asked: u32, default: u32, most: u32) -> u32 {
    match asked {
        0 => default,
        asked => asked.min(most),
    }
}

fn trace_metadata(seeded: &mut Seeded, place: u32, spans: u32) -> pb::TraceSearchMetadata {
    let size = match place % 5 {
        4 => 4 * 1024 * 1024,
        _ => 4_096 + seeded.below(60 * 1024),
    };
    let start = EPOCH_NS + seeded.below(3_600_000_000) as u64 * 1_000;
    let span = |seeded: &mut Seeded| pb::Span {
        span_id: format!("{:016x}", seeded.next_u64()),
        name: (*seeded.pick(&ROUTES)).to_owned(),
        start_time_unix_nano: start,
        duration_nanos: seeded.below(900_000_000) as u64,
        attributes: vec![text("http.request.method", "GET")],
    };
    pb::TraceSearchMetadata {
        trace_id: TraceId::sized(size, seeded.next_u64()).to_string(),
        root_service_name: (*seeded.pick(&SERVICES)).to_owned(),
        root_trace_name: (*seeded.pick(&ROUTES)).to_owned(),
        start_time_unix_nano: start,
        duration_ms: 900,
        span_sets: vec![pb::SpanSet {
            spans: (0..spans).map(|_| span(seeded)).collect(),
            matched: spans,
        }],
    }
}

fn sample(seeded: &mut Seeded, request: &pb::QueryRangeRequest, number: u64) -> pb::Sample {
    let at = request.start.saturating_add(number * request.step);
    pb::Sample {
        value: seeded.below(100_000) as f64 / 100.0,
        timestamp_ms: i64::try_from(at / 1_000_000).unwrap_or(i64::MAX),
    }
}

fn metadata_metrics() -> Option<pb::MetadataMetrics> {
    Some(pb::MetadataMetrics {
        inspected_bytes: 4_000_000,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_repeat_and_follow_the_request() {
        let (answers, other) = (Answers::new(1), Answers::new(2));
        let request = pb::SearchRequest {
            query: "{}".to_owned(),
            ..Default::default()
        };
        let first = answers.search(&request);
        assert_eq!(first, answers.search(&request));
        assert_ne!(first, other.search(&request));
        assert_eq!(first.traces.len(), 20);
        assert!(
            (4_096..40_000).contains(&first.encoded_len()),
            "{}",
            first.encoded_len()
        );

        let limit = 3;
        let fewer = answers.search(&pb::SearchRequest { limit, ..request });
        assert_eq!(fewer.traces.len(), 3);
    }

    #[test]
    fn the_ids_of_a_search_can_be_read() {
        for trace in Answers::new(1).search(&pb::SearchRequest::default()).traces {
            trace.trace_id.parse::<TraceId>().unwrap();
        }
    }

    #[test]
    fn tags_keep_to_scope_and_limit() {
        let request = pb::SearchTagsRequest {
            scope: "span".to_owned(),
            max_tags_per_scope: 5,
            ..Default::default()
        };
        let scopes = Answers::new(1).scoped_tags(&request).scopes;
        assert_eq!(scopes.len(), 1);
        assert_eq!((scopes[0].name.as_str(), scopes[0].tags.len()), ("span", 5));
        assert_eq!(Answers::new(1).tags(&request).tag_names.len(), 5);
    }

    #[test]
    fn typed_values_are_the_plain_ones() {
        let request = pb::SearchTagValuesRequest {
            tag_name: "service.name".to_owned(),
            ..Default::default()
        };
        let answers = Answers::new(1);
        let typed = answers.typed_tag_values(&request).tag_values;
        let typed: Vec<String> = typed.into_iter().map(|tag| tag.value).collect();
        assert_eq!(typed, answers.tag_values(&request).tag_values);
    }

    #[test]
    fn a_range_has_a_sample_each_step() {
        let request = pb::QueryRangeRequest {
            start: 1_000_000_000,
            end: 61_000_000_000,
            step: 10_000_000_000,
            ..Default::default()
        };
        let answers = Answers::new(1);
        let series = answers.query_range(&request).unwrap().series;
        assert!(series.iter().all(|series| series.samples.len() == 7));
        assert_eq!(series[0].samples[1].timestamp_ms, 11_000);

        let step = 1;
        answers
            .query_range(&pb::QueryRangeRequest {
                step,
                ..request.clone()
            })
            .unwrap_err();
        let end = 0;
        answers
            .query_range(&pb::QueryRangeRequest { end, ..request })
            .unwrap_err();
    }
}
