//! Latencies, counted in a histogram.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer as Decoder, Serializer as _, V2DeflateSerializer};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Latencies of one kind of call to one target, 1 ns to 10 min, three digits.
///
/// Serde writes them as the HdrHistogram libraries of all languages do: V2, deflated, in base64.
#[derive(Clone, PartialEq)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub(crate) fn new() -> Self {
        const LARGEST: u64 = 600_000_000_000; // ns; longer ones count as this
        let histogram = Histogram::new_with_bounds(1, LARGEST, 3);
        Self(histogram.expect("the bounds are constants that the crate accepts"))
    }

    /// Counts one latency.
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds);
    }

    /// Counts all that `other` has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).ok(); // equal bounds, so every value fits
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency in nanoseconds that `percent` of the calls did not exceed; `None` when there
    /// was no call.
    pub fn percentile(&self, percent: f64) -> Option<u64> {
        (!self.0.is_empty()).then(|| self.0.value_at_percentile(percent))
    }

    /// The longest latency, nanoseconds.
    pub fn max(&self) -> Option<u64> {
        (!self.0.is_empty()).then(|| self.0.max())
    }

    /// As the crate has them.
    pub(crate) fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    fn encode(&self) -> Result<String, impl fmt::Display + use<>> {
        let mut bytes = Vec::new();
        let written = V2DeflateSerializer::new().serialize(&self.0, &mut bytes);
        written.map(|_| BASE64_STANDARD.encode(bytes))
    }

    fn decode(text: &str) -> Result<Self, String> {
        let bytes = BASE64_STANDARD
            .decode(text)
            .map_err(|error| error.to_string())?;
        let histogram = Decoder::new().deserialize(&mut bytes.as_slice());
        let histogram: Histogram<u64> = histogram.map_err(|error| error.to_string())?;
        let mut own = Self::new();
        // Bounds of our own, so that it can be added to others.
        own.0.add(&histogram).map_err(|error| error.to_string())?;
        Ok(own)
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

/// Not its thousands of counters.
impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Latencies({}, max {} ns)", self.0.len(), self.0.max())
    }
}

impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.encode().map_err(S::Error::custom)?;
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::decode(&text).map_err(|error| D::Error::custom(format!("no histogram: {error}")))
    }
}

impl JsonSchema for Latencies {
    fn schema_name() -> Cow<'static, str> {
        "Latencies".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Latencies in nanoseconds: an HdrHistogram of three digits, V2, deflated, in base64.",
            "type": "string",
            "contentEncoding": "base64",
            "pattern": "^HIST"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_saturate() {
        let mut latencies = Latencies::new();
        assert_eq!((latencies.percentile(50.0), latencies.max()), (None, None));
        latencies.record(1_000);
        latencies.record(u64::MAX);
        assert!(latencies.max().unwrap() < 700_000_000_000);
    }

    #[test]
    fn json_holds_all_of_them_in_few_bytes() {
        let mut latencies = Latencies::new();
        (1..10_000).for_each(|value| latencies.record(value * 1_000));
        let json = serde_json::to_string(&latencies).unwrap();
        assert!(json.starts_with("\"HIST") && json.len() < 4_000, "{json}");
        let mut read: Latencies = serde_json::from_str(&json).unwrap();
        assert_eq!(read, latencies);
        read.add(&latencies);
        assert_eq!(read.count(), 2 * latencies.count());
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        for bad in ["\"?\"", "\"\"", "\"HISTFAAA\"", "7"] {
            serde_json::from_str::<Latencies>(bad).unwrap_err();
        }
    }
}
