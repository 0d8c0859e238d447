//! The flags of `overhead`.

use std::fmt;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::output::{HdrArgs, OutputArgs};
use super::start::StartArgs;
use super::target::TargetArgs;
use super::tls::TlsArgs;
use super::value::{count, duration, rate, trace_size};
use crate::fail_if::{self, Condition};
use crate::overhead::kind::Kind;
use crate::standin::TraceId;

/// Flags of `overhead`.
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "[KIND:] is help for a terminal, no link"
)]
#[derive(Args, Debug)]
pub struct OverheadArgs {
    /// How long to measure, as 20s or 2m, after a warm-up of a tenth of it (at most 2 s)
    #[arg(long, value_name = "DUR", default_value = "20s", value_parser = duration)]
    pub duration: Duration,

    /// Open loop: begin this many calls a second to each target in its turns, at their time
    /// whether or not others have ended, and measure from that time. Without it, a call begins when
    /// another has ended
    #[arg(long, value_name = "NUM", value_parser = rate)]
    pub rate: Option<f64>,

    /// What is called: a querier's calls in its proportions, or a list of single calls, all alike
    #[arg(
        long,
        value_name = "LIST",
        value_enum,
        value_delimiter = ',',
        default_value = "querier"
    )]
    pub mix: Vec<MixItem>,

    /// Sizes of the traces that --mix trace reads from the stand-in, a list from 1KiB to 16MiB
    /// [default: 64KiB]
    #[arg(long = "size", value_name = "LIST", value_delimiter = ',', value_parser = trace_size)]
    pub sizes: Vec<usize>,

    /// Connections to each target, kept open (a querier has one to each live-store)
    #[arg(long, value_name = "NUM", default_value_t = 1, value_parser = count::<100>)]
    pub connections: usize,

    /// Calls in flight on each connection, 1 to 100 (Tempo's limit) [default: 4, with --rate 100]
    #[arg(long, value_name = "NUM", value_parser = count::<100>)]
    pub streams: Option<usize>,

    /// Fixes the stand-in's answers, the calls and their order
    #[arg(long, value_name = "NUM", default_value_t = 1)]
    pub seed: u64,

    /// Encoding of the messages; Tempo's is snappy
    #[arg(long, value_enum, default_value_t = Compression::Snappy)]
    pub compression: Compression,

    /// What is measured.
    #[command(flatten)]
    pub targets: TargetArgs,

    /// A trace to read from the backend given with --direct, repeatable [default: what a search
    /// for the last hour finds]
    #[arg(long = "trace-id", value_name = "HEX", requires = "direct")]
    pub trace_ids: Vec<TraceId>,

    /// The tenant, sent as x-scope-orgid
    #[arg(long, value_name = "NAME", default_value = "single-tenant")]
    pub tenant: String,

    /// How to speak TLS.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// Fail with exit code 1 when this holds, as 'p99-added>200us' or 'health check:p50>1ms';
    /// repeatable
    ///
    /// [KIND:]FIGURE, one of > >= < <=, and a value. p50-added, p90-added, p99-added, p99.9-added:
    /// what a proxy adds, as a time or as a share (5%) of the direct percentile; it counts only
    /// when all of its 95 % interval is beyond the value. p50, p90, p99, p99.9, max: times through
    /// the proxy. errors: their number. achieved: share of --rate. cpu-per-request,
    /// machine-cpu-per-request: times. peak-memory: a size. Without KIND, it holds when it holds
    /// for any kind; a figure that could not be measured fails as well.
    #[arg(long = "fail-if", value_name = "EXPR")]
    pub fail_if: Vec<Condition>,

    /// When to begin.
    #[command(flatten)]
    pub start: StartArgs,

    /// Where else the report goes.
    #[command(flatten)]
    pub output: OutputArgs,

    /// Where the latencies go.
    #[command(flatten)]
    pub hdr: HdrArgs,
}

impl OverheadArgs {
    /// The single calls that were asked for; none for those of a querier.
    pub fn singles(&self) -> Vec<Single> {
        let mut singles: Vec<_> = self.mix.iter().filter_map(|item| item.single()).collect();
        singles.sort_unstable();
        singles.dedup();
        singles
    }

    /// Calls in flight on each connection.
    pub fn streams(&self) -> usize {
        let default = if self.rate.is_some() { 100 } else { 4 };
        self.streams.unwrap_or(default)
    }

    /// What is wrong with the flags together.
    pub(super) fn check(&self) -> Result<(), String> {
        let singles = self.singles();
        let reads_traces = singles.is_empty() || singles.contains(&Single::Trace);
        if !singles.is_empty() && self.mix.contains(&MixItem::Querier) {
            return Err(
                "--mix: 'querier' has all calls, and cannot be combined with others".into(),
            );
        }
        if !self.sizes.is_empty() && !singles.contains(&Single::Trace) {
            return Err("--size: only --mix trace reads traces of chosen sizes".into());
        }
        if !self.sizes.is_empty() && self.targets.direct.is_some() {
            return Err(
                "--size: only the stand-in has traces of any size; a backend given with \
                        --direct has those that it has, see --trace-id"
                    .into(),
            );
        }
        if !self.trace_ids.is_empty() && !reads_traces {
            return Err("--trace-id: --mix without 'trace' reads none".into());
        }
        self.check_conditions()?;
        self.start.check()?;
        self.targets.check()
    }

    fn check_conditions(&self) -> Result<(), String> {
        let kinds = self.kinds();
        for condition in &self.fail_if {
            condition.check(fail_if::OVERHEAD, &kinds)?;
            let is_of_process = ["cpu-per-request", "peak-memory"].contains(&condition.metric());
            let why = match condition.metric() {
                "achieved" if self.rate.is_none() => "there is a rate to achieve only with --rate",
                _ if is_of_process && !self.targets.via.is_empty() => {
                    "of a proxy given with --via, CPU time and memory are not known"
                }
                _ => continue,
            };
            return Err(format!("--fail-if '{condition}': {why}"));
        }
        Ok(())
    }

    /// The kinds of calls that the run may have, as the table names them.
    fn kinds(&self) -> Vec<String> {
        let has_standin = self.targets.direct.is_none();
        let singles = self.singles();
        if singles.is_empty() {
            return Kind::QUERIER.iter().map(Kind::to_string).collect();
        }
        let kinds = singles.iter().flat_map(|single| match single {
            Single::Health => vec![Kind::Health],
            Single::Trace if has_standin => Kind::of_sizes(&self.sizes),
            Single::Trace => vec![Kind::SmallTrace, Kind::LargeTrace],
            Single::Search => vec![Kind::Search],
            Single::Tags => vec![Kind::Tags],
            Single::TagValues => vec![Kind::TagValues],
            Single::QueryRange => vec![Kind::QueryRange],
        });
        kinds.map(|kind| kind.to_string()).collect()
    }
}

/// An item of `--mix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MixItem {
    /// Health checks, searches, tags, and traces small and large, as a querier makes them
    Querier,
    /// Health checks
    Health,
    /// Reads of traces, see --size
    Trace,
    /// Searches
    Search,
    /// Names of tags
    Tags,
    /// Values of a tag
    TagValues,
    /// Metrics over a time
    QueryRange,
}

impl MixItem {
    fn single(self) -> Option<Single> {
        Some(match self {
            Self::Querier => return None,
            Self::Health => Single::Health,
            Self::Trace => Single::Trace,
            Self::Search => Single::Search,
            Self::Tags => Single::Tags,
            Self::TagValues => Single::TagValues,
            Self::QueryRange => Single::QueryRange,
        })
    }
}

impl fmt::Display for MixItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// A call that can be made alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Single {
    /// `Health/Check`.
    Health,
    /// `FindTraceByID`.
    Trace,
    /// `SearchRecent`.
    Search,
    /// `SearchTagsV2`.
    Tags,
    /// `SearchTagValuesV2`.
    TagValues,
    /// `QueryRange`.
    QueryRange,
}

/// How messages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// The snappy framing format, both ways.
    Snappy,
    /// Not at all.
    None,
}

impl Compression {
    /// Whether it is snappy.
    pub fn is_snappy(self) -> bool {
        self == Self::Snappy
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Snappy => "snappy",
            Self::None => "none",
        })
    }
}
