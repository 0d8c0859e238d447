//! Traces that a seed and a trace ID fix to the byte.

use std::collections::VecDeque;

use bytes::Bytes;
use prost::Message;
use prost::encoding::{encode_key, encode_varint, encoded_len_varint, key_len};

use super::trace_id::TraceId;
use crate::proto::tempopb;
use crate::proto::tempopb::common::v1::any_value::Value;
use crate::proto::tempopb::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use crate::proto::tempopb::trace::v1::{Resource, ResourceSpans, ScopeSpans, Span};
use crate::seed::Seeded;

/// The answers that were built last. A live-store reads its answers from memory as well; building
/// one anew for each request would make the stand-in the bottleneck.
#[derive(Debug)]
pub(super) struct Traces {
    seed: u64,
    /// Oldest first. Few enough to search.
    kept: VecDeque<(TraceId, Bytes)>,
    /// Bytes that `kept` may hold.
    most_kept: usize,
}

impl Traces {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            kept: VecDeque::new(),
            most_kept: 128 * 1024 * 1024, // eight of the largest
        }
    }

    /// The answer with trace `id`.
    pub(super) fn answer(&mut self, id: TraceId) -> tempopb::TraceByIdResponse {
        let known = self.kept.iter().find(|(known, _)| *known == id);
        let trace = match known {
            Some((_, trace)) => trace.clone(),
            None => self.build(id),
        };
        let inspected_bytes = trace.len() as u64;
        tempopb::TraceByIdResponse {
            trace,
            metrics: Some(tempopb::TraceByIdMetrics { inspected_bytes }),
            ..Default::default()
        }
    }

    fn build(&mut self, id: TraceId) -> Bytes {
        let trace = encoded_trace(self.seed, id, id.answer_size() - OVERHEAD);
        self.kept.push_back((id, trace.clone()));
        let mut total: usize = self.kept.iter().map(|(_, trace)| trace.len()).sum();
        while total > self.most_kept
            && let Some((_, oldest)) = self.kept.pop_front()
        {
            total -= oldest.len();
        }
        trace
    }
}

/// What an answer adds to its trace at most: two keys and lengths, and the metrics.
const OVERHEAD: usize = 24;

/// An encoded `Trace` of at most `size` bytes, and at most 24 fewer.
fn encoded_trace(seed: u64, id: TraceId, size: usize) -> Bytes {
    const FIELD: u32 = 1; // Trace.resourceSpans
    const SMALLEST_BATCH: usize = 800; // bytes; room for a resource and a span
    const LARGEST_BATCH: usize = 24 * 1024;

    let mut seeded = Seeded::keyed(seed, id.as_bytes());
    let mut trace = Vec::with_capacity(size);
    while size - trace.len() >= SMALLEST_BATCH {
        let left = size - trace.len();
        // The last batch takes all that is left: a rest too small for a batch would be lost.
        let target = if left < LARGEST_BATCH + SMALLEST_BATCH {
            left
        } else {
            LARGEST_BATCH
        };
        let room = target - key_len(FIELD) - encoded_len_varint(target as u64);
        let batch = batch(&mut seeded, id, room);
        encode_key(
            FIELD,
            prost::encoding::WireType::LengthDelimited,
            &mut trace,
        );
        encode_varint(batch.encoded_len() as u64, &mut trace);
        trace.extend_from_slice(&batch.encode_to_vec());
    }
    trace.into()
}

/// The spans of one service, `size` bytes encoded or up to 16 fewer.
fn batch(seeded: &mut Seeded, id: TraceId, size: usize) -> ResourceSpans {
    const LARGEST_SPAN: usize = 640; // bytes, with its key and length
    const NESTING: usize = 16; // keys, lengths and the padding's own key

    let service = *seeded.pick(&SERVICES);
    let resource = Resource {
        attributes: vec![
            text("service.name", service),
            text(
                "k8s.pod.name",
                &format!("{service}-{:08x}", seeded.next_u64() >> 32),
            ),
            text("deployment.environment.name", "production"),
        ],
    };
    let scope = InstrumentationScope {
        name: "io.opentelemetry.http".to_owned(),
        version: "2.9.0".to_owned(),
    };
    let mut spans = Vec::new();
    let mut used = resource.encoded_len() + scope.encoded_len() + NESTING;
    let mut parent = Bytes::new();
    while used + 2 * LARGEST_SPAN <= size {
        let span = span(seeded, id, &parent);
        used += span.encoded_len() + 3;
        parent = span.span_id.clone();
        spans.push(span);
    }
    spans.push(span(seeded, id, &parent));
    let mut batch = ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![ScopeSpans {
            scope: Some(scope),
            spans,
        }],
    };
    pad(&mut batch, size, seeded);
    batch
}

/// Grows the name of the last span until `batch` has `size` bytes, or a few less where a longer
/// name would need a longer length.
fn pad(batch: &mut ResourceSpans, size: usize, seeded: &mut Seeded) {
    for _ in 0..3 {
        let missing = size.saturating_sub(batch.encoded_len());
        // Four lengths, one in another, may each take a byte more.
        let take = if missing > 8 {
            missing - 4
        } else {
            missing.saturating_sub(4)
        };
        let Some(span) = batch.scope_spans[0].spans.last_mut() else {
            return;
        };
        let digits = (0..take).map(|_| char::from(*seeded.pick(b"0123456789abcdef")));
        span.name.extend(digits);
    }
}

fn span(seeded: &mut Seeded, id: TraceId, parent: &Bytes) -> Span {
    let start = EPOCH_NS + seeded.below(3_600_000_000) as u64 * 1_000;
    let method = *seeded.pick(&["GET", "POST", "PUT"]);
    let route = *seeded.pick(&ROUTES);
    Span {
        trace_id: Bytes::copy_from_slice(id.as_bytes()),
        span_id: Bytes::copy_from_slice(&seeded.next_u64().to_be_bytes()),
        parent_span_id: parent.clone(),
        name: format!("{method} {route}"),
        kind: *seeded.pick(&[1, 2, 3, 4, 5]),
        start_time_unix_nano: start,
        end_time_unix_nano: start + seeded.below(900_000_000) as u64,
        attributes: vec![
            text("http.request.method", method),
            text("http.route", route),
            text("url.path", &format!("{route}/{:016x}", seeded.next_u64())),
            number(
                "http.response.status_code",
                *seeded.pick(&[200, 200, 200, 204, 404, 500]),
            ),
            text(
                "server.address",
                &format!("10.1.{}.{}", seeded.below(256), seeded.below(256)),
            ),
            text("user.id", &format!("{:016x}", seeded.next_u64())),
        ],
    }
}

/// 2026-01-01 in nanoseconds since 1970: the stand-in's clock stands still, so that answers repeat.
pub(super) const EPOCH_NS: u64 = 1_767_225_600_000_000_000;

pub(super) const SERVICES: [&str; 6] = [
    "frontend",
    "cart",
    "checkout",
    "payment",
    "inventory",
    "shipping",
];
pub(super) const ROUTES: [&str; 5] = [
    "/api/v1/orders",
    "/api/v1/carts",
    "/api/v1/products",
    "/internal/reserve",
    "/internal/charge",
];

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::trace_id::{LARGEST_ANSWER, SMALLEST_ANSWER};
    use super::*;

    fn answer(seed: u64, id: TraceId) -> Vec<u8> {
        Traces::new(seed).answer(id).encode_to_vec()
    }

    #[test]
    fn an_answer_has_the_size_asked_for() {
        let sizes = (SMALLEST_ANSWER..4_096).step_by(7);
        let large = [65_536, 65_537, 1_000_000, 5 << 20, LARGEST_ANSWER];
        for size in sizes.chain(large) {
            let got = answer(1, TraceId::sized(size, 3)).len();
            assert!(got <= size && got + 48 >= size, "asked {size}, got {got}");
        }
    }

    #[test]
    fn seed_and_id_fix_every_byte() {
        let id = TraceId::sized(50_000, 1);
        assert_eq!(answer(1, id), answer(1, id));
        assert_ne!(answer(1, id), answer(2, id));
        assert_ne!(answer(1, id), answer(1, TraceId::sized(50_000, 2)));
    }

    #[test]
    fn kept_answers_equal_fresh_ones() {
        let (first, second) = (TraceId::sized(9_000, 1), TraceId::sized(9_000, 2));
        let mut traces = Traces::new(5);
        for id in [first, second, first, second] {
            assert_eq!(traces.answer(id).encode_to_vec(), answer(5, id));
        }
    }

    #[test]
    fn the_oldest_answers_are_let_go() {
        let mut traces = Traces {
            most_kept: 10_000,
            ..Traces::new(5)
        };
        for number in 0..9 {
            traces.answer(TraceId::sized(4_000, number));
        }
        let kept: Vec<TraceId> = traces.kept.iter().map(|(id, _)| *id).collect();
        assert_eq!(kept, [TraceId::sized(4_000, 7), TraceId::sized(4_000, 8)]);
    }

    #[test]
    fn a_trace_reads_as_the_message_that_tempo_expects() {
        let id = TraceId::sized(100_000, 1);
        let trace = Traces::new(1).answer(id).trace;
        let trace = tempopb::Trace::decode(trace).unwrap();
        let spans: Vec<&Span> = trace
            .resource_spans
            .iter()
            .flat_map(|batch| &batch.scope_spans)
            .flat_map(|scope| &scope.spans)
            .collect();
        assert!(spans.len() > 100, "{} spans", spans.len());
        assert!(spans.iter().all(|span| span.trace_id == id.as_bytes()[..]));
    }
}
