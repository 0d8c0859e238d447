//! Families of metrics, as Prometheus' text format writes them.

use std::{collections::HashMap, fmt};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet},
    metrics::{MetricType, exemplar::Exemplar},
};

use super::catalogue::METRICS;
use crate::account::histogram::Distribution;

/// Writes families in Prometheus' text format. The crate writes OpenMetrics, where the family of a
/// counter has another name than its samples; a counter that is written as a gauge is written the
/// old way, which promtool and every scraper read.
pub(super) struct Family<'a>(pub(super) DescriptorEncoder<'a>);

impl Family<'_> {
    pub(super) fn counter(
        &mut self,
        name: &'static str,
        value: impl EncodeGaugeValue,
    ) -> fmt::Result {
        self.0
            .encode_descriptor(name, help(name), None, MetricType::Counter)?
            .encode_gauge(&value)
    }

    pub(super) fn counters<'l, const N: usize>(
        &mut self,
        name: &'static str,
        rows: impl IntoIterator<Item = ([(&'l str, &'l str); N], u64)>,
    ) -> fmt::Result {
        self.rows(name, MetricType::Counter, rows)
    }

    pub(super) fn gauge(
        &mut self,
        name: &'static str,
        value: impl EncodeGaugeValue,
    ) -> fmt::Result {
        self.0
            .encode_descriptor(name, help(name), None, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    pub(super) fn gauges<'l, const N: usize>(
        &mut self,
        name: &'static str,
        rows: impl IntoIterator<Item = ([(&'l str, &'l str); N], impl EncodeGaugeValue)>,
    ) -> fmt::Result {
        self.rows(name, MetricType::Gauge, rows)
    }

    fn rows<'l, const N: usize>(
        &mut self,
        name: &'static str,
        kind: MetricType,
        rows: impl IntoIterator<Item = ([(&'l str, &'l str); N], impl EncodeGaugeValue)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help(name), None, kind)?;
        for (labels, value) in rows {
            encoder.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    pub(super) fn histogram(&mut self, name: &'static str, seen: &Distribution) -> fmt::Result {
        let none: Option<&HashMap<usize, Exemplar<NoLabelSet, f64>>> = None;
        self.0
            .encode_descriptor(name, help(name), None, MetricType::Histogram)?
            .encode_histogram(seen.sum, seen.count, &seen.buckets, none)
    }
}

/// What the catalogue says of a family.
fn help(name: &str) -> &'static str {
    let found = METRICS.iter().find(|metric| metric.name == name);
    debug_assert!(found.is_some(), "{name} is not in the catalogue");
    found.map_or("", |metric| metric.help)
}
