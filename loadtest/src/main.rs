//! The `loadtest` binary: reads the flags, runs the subcommand, turns its result into an exit
//! code: 0 good, 1 failed, 2 a mistake in the flags.

use std::process::ExitCode;

use loadtest::cli::{Cli, Command, HdrArgs, OutputArgs};
use loadtest::output::Outputs;
use loadtest::report::AnyReport;
use loadtest::tcp::origin;
use loadtest::{compare, connections, latency, merge, overhead, serve, soak, throughput};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Cli { command } = Cli::read(); // exits with 2 by itself
    let result = match &command {
        Command::Serve(args) => serve::run(args).map(|()| ExitCode::SUCCESS),
        Command::Origin(args) => origin::run(args).map(|()| ExitCode::SUCCESS),
        Command::Overhead(args) => told(&args.output, Some(&args.hdr), || overhead::run(args)),
        Command::Compare(args) => told(&args.output, Some(&args.hdr), || compare::run(args)),
        Command::Soak(args) => told(&args.output, None, || soak::run(args)),
        Command::Throughput(args) => told(&args.tcp.output, None, || throughput::run(args)),
        Command::Latency(args) => told(&args.tcp.output, Some(&args.hdr), || latency::run(args)),
        Command::Connections(args) => {
            told(&args.tcp.output, Some(&args.hdr), || connections::run(args))
        }
        Command::Merge(args) => told(&args.output, Some(&args.hdr), || merge::run(args)),
    };
    result.unwrap_or_else(|error| {
        report(&error);
        ExitCode::FAILURE
    })
}

/// Runs `run`, and takes its report to where the flags say.
fn told<T: Into<AnyReport>>(
    output: &OutputArgs,
    hdr: Option<&HdrArgs>,
    run: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<ExitCode> {
    let outputs = Outputs::new(output, hdr)?; // a wrong path shows before the run, not after it
    let report = run()?.into();
    outputs.write(&report)?;
    Ok(match report.is_clean() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

#[expect(
    clippy::print_stderr,
    reason = "the one place where an error reaches the user"
)]
fn report(error: &anyhow::Error) {
    eprintln!("Error: {error:#}");
}
