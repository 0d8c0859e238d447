//! What the user typed.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::standin::TraceId;

/// Measures what a proxy costs the reads of Tempo's queriers.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stand in for a live-store: the calls of a querier, answered from a seed
    Serve(ServeArgs),
    /// Measure what a proxy costs: the same reads directly and through it, in turns
    ///
    /// Without flags it starts the stand-in and portamento by itself. Exits with 0 when every call
    /// was answered and all answers were identical, with 1 otherwise, with 2 for wrong flags.
    Overhead(OverheadArgs),
}

/// Flags of `serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Where to listen; port 0 takes a free one, and the first line on stdout tells which
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9095")]
    pub listen: SocketAddr,

    /// Fixes every answer, byte for byte
    #[arg(long, value_name = "NUM", default_value_t = 1)]
    pub seed: u64,

    /// End when standard input ends, so that a child does not outlive its parent
    #[arg(long, hide = true)]
    pub end_with_stdin: bool,
}

/// Flags of `overhead`.
#[derive(Args, Debug)]
pub struct OverheadArgs {
    /// How long to measure, as 20s or 2m, after a warm-up of a tenth of it (at most 2 s)
    #[arg(long, value_name = "DUR", default_value = "20s", value_parser = duration)]
    pub duration: Duration,

    /// Connections to each target, kept open (a querier has one to each live-store)
    #[arg(long, value_name = "NUM", default_value_t = 1, value_parser = count::<100>)]
    pub connections: usize,

    /// Calls in flight on each connection, 1 to 100 (Tempo's limit)
    #[arg(long, value_name = "NUM", default_value_t = 4, value_parser = count::<100>)]
    pub streams: usize,

    /// Fixes the stand-in's answers, the calls and their order
    #[arg(long, value_name = "NUM", default_value_t = 1)]
    pub seed: u64,

    /// Encoding of the messages; Tempo's is snappy
    #[arg(long, value_enum, default_value_t = Compression::Snappy)]
    pub compression: Compression,

    /// Measure this backend instead of starting the stand-in
    #[arg(long, value_name = "ADDR", requires = "via", conflicts_with_all = ["portamento", "proxy"])]
    pub direct: Option<String>,

    /// The proxy in front of the backend given with --direct
    #[arg(long, value_name = "ADDR", requires = "direct")]
    pub via: Option<String>,

    /// A trace to read from the backend given with --direct, repeatable [default: what a search
    /// for the last hour finds]
    #[arg(long = "trace-id", value_name = "HEX", requires = "direct")]
    pub trace_ids: Vec<TraceId>,

    /// The tenant, sent as x-scope-orgid
    #[arg(long, value_name = "NAME", default_value = "single-tenant")]
    pub tenant: String,

    /// The portamento binary [default: built now when run by cargo, else beside this program, else
    /// in PATH]
    #[arg(long, value_name = "PATH", conflicts_with = "proxy")]
    pub portamento: Option<PathBuf>,

    /// Start this proxy instead; a shell command with {listen} and {upstream} (each IP:PORT)
    #[arg(long, value_name = "CMD", value_parser = proxy_command)]
    pub proxy: Option<String>,

    /// Also write the report as JSON to this file
    #[arg(long, value_name = "PATH")]
    pub json: Option<PathBuf>,
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

fn duration(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(24 * 3_600);
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be longer than 0".to_owned()),
        Ok(duration) if duration > LONGEST => Err("must be at most 24h".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write it as 20s or 2m")),
    }
}

fn count<const MOST: usize>(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=MOST).contains(&count) => Ok(count),
        _ => Err(format!("must be a whole number from 1 to {MOST}")),
    }
}

fn proxy_command(text: &str) -> Result<String, String> {
    match ["{listen}", "{upstream}"]
        .into_iter()
        .find(|name| !text.contains(name))
    {
        Some(missing) => Err(format!("{missing} is missing")),
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn values_are_checked() {
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        for bad in ["0s", "20", "25h", "soon"] {
            duration(bad).unwrap_err();
        }
        assert_eq!(count::<100>("100"), Ok(100));
        for bad in ["0", "101", "-1", "x"] {
            count::<100>(bad).unwrap_err();
        }
        assert_eq!(
            proxy_command("a {listen}").unwrap_err(),
            "{upstream} is missing"
        );
    }
}
