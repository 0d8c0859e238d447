//! The calls that a run can make, and the traces that they read.

use std::fmt;

use anyhow::{Context as _, bail};
use prost::Message as _;

use super::kind::Kind;
use crate::client::{Call, QuerierClient};
use crate::proto::tempopb;
use crate::standin::TraceId;

/// How far back metrics are asked for at most, seconds: a live-store refuses to answer beyond its
/// `complete_block_timeout`, which is 20 minutes unless set.
const METRICS_WINDOW: u32 = 15 * 60;

/// One call that a run can make.
#[derive(Clone, Debug)]
pub(super) struct MixedCall {
    /// Its row in the table.
    pub(super) kind: Kind,
    /// The call.
    pub(super) call: Call,
    /// The trace that it reads.
    pub(super) trace: Option<TraceId>,
}

impl MixedCall {
    /// The read of trace `id`.
    pub(super) fn trace(kind: Kind, id: TraceId) -> Self {
        Self {
            kind,
            call: Call::find_trace(id),
            trace: Some(id),
        }
    }

    /// A call that asks for no trace; times in seconds since 1970. `None` for the others.
    pub(super) fn query(kind: Kind, start: u32, end: u32) -> Option<Self> {
        let call = match kind {
            Kind::Health | Kind::BusyHealth => Call::health(),
            Kind::Search => Call::search_recent(&search_request(start, end)),
            Kind::Tags => Call::search_tags(&tempopb::SearchTagsRequest {
                start,
                end,
                ..Default::default()
            }),
            Kind::TagValues => Call::search_tag_values(&tempopb::SearchTagValuesRequest {
                tag_name: "resource.service.name".to_owned(),
                start,
                end,
                ..Default::default()
            }),
            Kind::QueryRange => Call::query_range(&tempopb::QueryRangeRequest {
                query: "{} | rate() by (resource.service.name)".to_owned(),
                start: u64::from(start.max(end.saturating_sub(METRICS_WINDOW))) * 1_000_000_000,
                end: u64::from(end) * 1_000_000_000,
                step: 60_000_000_000,
                max_series: 1_000,
                ..Default::default()
            }),
            Kind::SmallTrace | Kind::LargeTrace | Kind::Trace(_) => return None,
        };
        Some(Self {
            kind,
            call,
            trace: None,
        })
    }
}

impl fmt::Display for MixedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.call.name())?;
        self.trace.map_or(Ok(()), |id| write!(f, " {id}"))
    }
}

/// The traces of a live-store of which nothing is known: `ids`, or else what a search from `start`
/// to `end` (seconds since 1970) finds. Sizes are learnt by reading. Of what a search finds, only
/// as much is taken as can be kept in memory for comparison.
///
/// # Errors
/// When a call fails, or no trace is found.
pub(super) async fn traces(
    client: &QuerierClient,
    ids: &[TraceId],
    start: u32,
    end: u32,
) -> anyhow::Result<Vec<MixedCall>> {
    const MOST: usize = 256 << 20; // bytes
    let found = match ids {
        [] => search(client, start, end)
            .await
            .context("cannot search for traces")?,
        ids => ids.to_vec(),
    };
    let (mut traces, mut bytes) = (Vec::new(), 0);
    for id in found {
        if ids.is_empty() && bytes > MOST {
            break;
        }
        let answer = client.find_trace(id).await;
        let answer = answer.with_context(|| format!("trace {id}"))?;
        bytes += answer.len();
        traces.push(MixedCall::trace(Kind::of_trace(answer.len()), id));
    }
    if traces.is_empty() {
        bail!("the backend has no trace of the last hour; name one with --trace-id HEX");
    }
    Ok(traces)
}

async fn search(client: &QuerierClient, start: u32, end: u32) -> anyhow::Result<Vec<TraceId>> {
    let answer = client
        .call(&Call::search_recent(&search_request(start, end)))
        .await?;
    let traces = tempopb::SearchResponse::decode(answer)?.traces;
    traces
        .iter()
        .map(|trace| Ok(trace.trace_id.parse()?)) // without leading zeros, as Tempo writes them
        .collect()
}

fn search_request(start: u32, end: u32) -> tempopb::SearchRequest {
    tempopb::SearchRequest {
        query: "{}".to_owned(),
        limit: 20,
        spans_per_span_set: 3,
        start,
        end,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_asked_for_no_further_back_than_a_live_store_answers() {
        let call = |start, end| MixedCall::query(Kind::QueryRange, start, end).unwrap().call;
        assert_eq!(call(10_000, 13_600), call(12_700, 13_600));
        assert_ne!(call(13_000, 13_600), call(12_700, 13_600));
    }
}
