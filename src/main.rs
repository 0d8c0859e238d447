//! The `portamento` binary: what the user typed, what of it is valid, then bind and run.

use std::{
    error::Error,
    io::{self, Write},
    os::fd::OwnedFd,
    process::ExitCode,
};

use portamento::{
    check,
    cli::{self, CheckArgs, Command, ForwarderArgs},
    config::Config,
    control::{
        handover,
        notify::Notifier,
        signals::{Held, Signals},
    },
    logging::{self, Logs},
    server::Server,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::{runtime::Builder, sync::mpsc};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code of a wrong command line; clap ends with the same.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let held = match Held::hold() {
        Ok(held) => held,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    let args = match cli::parse() {
        Ok(args) => args,
        Err(error) => {
            // It may wait for whoever reads there, and for ever: a signal has to end that.
            if let Err(error) = held.release() {
                return fail(&error, ExitCode::FAILURE);
            }
            error.exit()
        }
    };
    let Some(command) = args.command else {
        return forward(args.forwarder, &held);
    };
    if let Err(error) = held.release() {
        return fail(&error, ExitCode::FAILURE);
    }
    match command {
        Command::Check(args) => check(*args),
        Command::Completions { shell } => print(Ok(cli::completions(shell))),
        Command::Man => print(cli::manual_page()),
    }
}

fn forward(args: ForwarderArgs, held: &Held) -> ExitCode {
    let inherited = match handover::inherited() {
        Ok(inherited) => inherited, // before there are threads, the log's among them
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    let config = match args.config(&handover::addresses(&inherited)) {
        Ok(config) => config,
        Err(error) => return fail(&error, ExitCode::from(USAGE)),
    };
    let logs = match logging::init(&config.log) {
        Ok(logs) => logs,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    match run(config, inherited, held) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop::<Logs>(logs); // what led to it comes first
            fail(&*error, ExitCode::FAILURE)
        }
    }
}

fn run(config: Config, inherited: Vec<OwnedFd>, held: &Held) -> Result<(), Box<dyn Error>> {
    let server = Server::bind(config, inherited)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let (stop, stops) = mpsc::unbounded_channel();
        let signals = Signals::of(held)?;
        let manager = Notifier::from_env();
        let counters = server.counters();
        manager.ready(); // the listeners are bound: clients wait in the backlog
        tokio::select! {
            ended = server.run(stops) => ended?,
            ended = signals.pass_on(stop, &manager) => ended?,
            () = manager.run(|| counters.stuck_worker()) => {}
        }
        Ok(())
    });
    runtime.shutdown_background(); // a name server that does not answer holds up nobody's exit
    result
}

fn check(args: CheckArgs) -> ExitCode {
    let json = args.scope.json;
    let report = match check::run(args) {
        Ok(report) => report,
        Err(error @ check::CheckError::Start(_)) => return fail(&error, ExitCode::FAILURE),
        Err(error) => return fail(&error, ExitCode::from(USAGE)),
    };
    let text = match json {
        true => report.json(),
        false => Ok(report.to_string()),
    };
    match print(text.map(String::into_bytes)) {
        ExitCode::SUCCESS if report.has_errors() => ExitCode::FAILURE,
        code => code,
    }
}

/// Writes what was asked for to standard output.
fn print(text: io::Result<Vec<u8>>) -> ExitCode {
    match text.and_then(|text| io::stdout().lock().write_all(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, ExitCode::FAILURE),
    }
}

/// How long whoever reads standard error may take to make room for a last word.
const LAST_WORD: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// Tells whoever started the process. A full pipe that nobody reads keeps it from ending no longer
/// than [`LAST_WORD`].
fn fail(error: &dyn Error, code: ExitCode) -> ExitCode {
    let mut stderr = io::stderr();
    let mut room = [PollFd::new(&stderr, PollFlags::OUT)];
    if poll(&mut room, Some(&LAST_WORD)).is_ok_and(|ready| ready > 0) {
        writeln!(stderr, "error: {error}").ok(); // there is nobody else to tell
    }
    code
}
