//! `loadtest latency`: requests and responses over plain TCP.

pub(crate) mod pingpong;

use self::pingpong::PingPong;
use crate::cli::LatencyArgs;
use crate::report::Measured;
use crate::tcp::load::Load;
use crate::tcp::run::{Case, Work, run as run_cases};
use crate::tcp::series::Unit;
use crate::units::size;

/// Measures as the flags say. SIGINT and SIGTERM end the run as an error.
///
/// # Errors
/// When something cannot be started, or the backend itself fails.
pub fn run(args: &LatencyArgs) -> anyhow::Result<Measured> {
    let each = args.sizes.iter().map(|&response| {
        case(PingPong {
            request: args.request.unwrap_or(response),
            response,
            connections: args.connections,
            depth: args.depth,
        })
    });
    run_cases("latency", &args.tcp, &each.collect::<Vec<_>>())
}

/// Requests and responses as a scenario.
pub(crate) fn case(ping: PingPong) -> Case {
    let sizes = match (size(ping.request), size(ping.response)) {
        (request, response) if request == response => response,
        (request, response) => format!("{request} -> {response}"),
    };
    let connections = match ping.connections {
        1 => String::new(),
        connections => format!(", {connections} connections"),
    };
    let depth = match ping.depth {
        1 => String::new(),
        depth => format!(", {depth} in flight"),
    };
    Case {
        name: format!("{sizes}{connections}{depth}"),
        unit: Unit::Request,
        work: Work::Load(Load::PingPong(ping)),
    }
}
