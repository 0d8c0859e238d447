//! `loadtest throughput`: bulk over plain TCP.

pub(crate) mod bulk;

use self::bulk::Bulk;
use crate::cli::ThroughputArgs;
use crate::report::Measured;
use crate::tcp::load::Load;
use crate::tcp::run::{Case, Work, run as run_cases};
use crate::tcp::series::Unit;

/// Measures as the flags say. SIGINT and SIGTERM end the run as an error.
///
/// # Errors
/// When something cannot be started, or the backend itself fails.
pub fn run(args: &ThroughputArgs) -> anyhow::Result<Measured> {
    let each = args.direction.iter().flat_map(|&direction| {
        let streams = args.streams.iter();
        streams.map(move |&streams| case(Bulk { direction, streams }))
    });
    run_cases("throughput", &args.tcp, &each.collect::<Vec<_>>())
}

/// Bulk as a scenario.
pub(crate) fn case(bulk: Bulk) -> Case {
    let plural = if bulk.streams == 1 { "" } else { "s" };
    Case {
        name: format!("{}, {} stream{plural}", bulk.direction.name(), bulk.streams),
        unit: Unit::Gibibyte,
        work: Work::Load(Load::Bulk(bulk)),
    }
}
