//! `loadtest connections`: short connections, and idle ones.

pub(crate) mod connect;
pub(crate) mod idle;

use self::connect::Connects;
use self::idle::IdleLoad;
use crate::cli::ConnectionsArgs;
use crate::report::Measured;
use crate::tcp::load::Load;
use crate::tcp::run::{Case, Work, run as run_cases};
use crate::tcp::series::Unit;

/// Measures as the flags say. SIGINT and SIGTERM end the run as an error.
///
/// # Errors
/// When something cannot be started, or the backend itself fails.
pub fn run(args: &ConnectionsArgs) -> anyhow::Result<Measured> {
    let short = args.concurrency.iter().map(|&concurrency| {
        connects(Connects {
            concurrency,
            request: args.request,
            response: args.response,
        })
    });
    let idle = (args.idle > 0).then(|| idle(args.idle.into()));
    run_cases(
        "connections",
        &args.tcp,
        &short.chain(idle).collect::<Vec<_>>(),
    )
}

/// Short connections as a scenario.
pub(crate) fn connects(connects: Connects) -> Case {
    Case {
        name: format!("short connections, {} at a time", connects.concurrency),
        unit: Unit::Connection,
        work: Work::Load(Load::Connects(connects)),
    }
}

/// Idle connections as a scenario.
pub(crate) fn idle(connections: usize) -> Case {
    Case {
        name: format!("{connections} idle connections"),
        unit: Unit::IdleConnection,
        work: Work::Idle(IdleLoad { connections }),
    }
}
