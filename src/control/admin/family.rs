//! Families of metrics, as Prometheus' text format writes them.

use std::{collections::HashMap, fmt};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet},
    metrics::{MetricType, exemplar::Exemplar},
};

use crate::account::histogram::Distribution;

/// Writes families in Prometheus' text format. The crate writes OpenMetrics, where the family of a
/// counter has another name than its samples; a counter that is written as a gauge is written the
/// old way, which promtool and every scraper read.
pub(super) struct Family<'a>(pub(super) DescriptorEncoder<'a>);

impl Family<'_> {
    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeGaugeValue,
    ) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Counter)?
            .encode_gauge(&value)
    }

    pub(super) fn counters<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = ([(&'l str, &'l str); N], u64)>,
    ) -> fmt::Result {
        self.rows(name, help, MetricType::Counter, rows)
    }

    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeGaugeValue,
    ) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    pub(super) fn gauges<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = ([(&'l str, &'l str); N], impl EncodeGaugeValue)>,
    ) -> fmt::Result {
        self.rows(name, help, MetricType::Gauge, rows)
    }

    fn rows<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        rows: impl IntoIterator<Item = ([(&'l str, &'l str); N], impl EncodeGaugeValue)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in rows {
            encoder.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str, seen: &Distribution) -> fmt::Result {
        let none: Option<&HashMap<usize, Exemplar<NoLabelSet, f64>>> = None;
        self.0
            .encode_descriptor(name, help, None, MetricType::Histogram)?
            .encode_histogram(seen.sum, seen.count, &seen.buckets, none)
    }
}
