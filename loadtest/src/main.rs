//! The `loadtest` binary: reads the flags, runs the subcommand, turns its result into an exit
//! code: 0 good, 1 failed, 2 a mistake in the flags.

use std::process::ExitCode;

use clap::Parser as _;
use loadtest::cli::{Cli, Command};
use loadtest::serve;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Cli { command } = Cli::parse(); // exits with 2 by itself
    let result = match command {
        Command::Serve(args) => serve::run(&args).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        report(&error);
        ExitCode::FAILURE
    })
}

#[expect(
    clippy::print_stderr,
    reason = "the one place where an error reaches the user"
)]
fn report(error: &anyhow::Error) {
    eprintln!("Error: {error:#}");
}
