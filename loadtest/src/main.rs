//! The `loadtest` binary: reads the flags, runs the subcommand, turns its result into an exit
//! code: 0 good, 1 failed, 2 a mistake in the flags.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use loadtest::cli::{Cli, Command, TcpArgs};
use loadtest::report::Measured;
use loadtest::report::compare_table::CompareTable;
use loadtest::report::measured_table::MeasuredTable;
use loadtest::report::soak::SoakTable;
use loadtest::report::table::Table;
use loadtest::tcp::origin;
use loadtest::{compare, connections, latency, overhead, serve, soak, throughput};
use serde::Serialize;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Cli { command } = Cli::read(); // exits with 2 by itself
    let result = match command {
        Command::Serve(args) => serve::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Origin(args) => origin::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Overhead(args) => told(args.json.as_deref(), || {
            let report = overhead::run(&args)?;
            Ok((Table(&report).to_string(), report.is_clean(), report))
        }),
        Command::Compare(args) => told(args.json.as_deref(), || {
            let report = compare::run(&args)?;
            Ok((CompareTable(&report).to_string(), report.is_clean(), report))
        }),
        Command::Soak(args) => told(args.json.as_deref(), || {
            let report = soak::run(&args)?;
            Ok((SoakTable(&report).to_string(), report.is_clean(), report))
        }),
        Command::Throughput(args) => measured(&args.tcp, || throughput::run(&args)),
        Command::Latency(args) => measured(&args.tcp, || latency::run(&args)),
        Command::Connections(args) => measured(&args.tcp, || connections::run(&args)),
    };
    result.unwrap_or_else(|error| {
        report(&error);
        ExitCode::FAILURE
    })
}

fn measured(
    args: &TcpArgs,
    run: impl FnOnce() -> anyhow::Result<Measured>,
) -> anyhow::Result<ExitCode> {
    told(args.json.as_deref(), || {
        let report = run()?;
        Ok((
            MeasuredTable(&report).to_string(),
            report.is_clean(),
            report,
        ))
    })
}

/// Runs `run`, which yields a table, whether all is well, and the report itself; prints the one
/// and writes the other.
fn told<T: Serialize>(
    json: Option<&Path>,
    run: impl FnOnce() -> anyhow::Result<(String, bool, T)>,
) -> anyhow::Result<ExitCode> {
    json.map_or(Ok(()), has_folder)?; // a wrong path shows before the run, not after it
    let (table, is_clean, report) = run()?;
    io::stdout().lock().write_all(table.as_bytes())?;
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(match is_clean {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn has_folder(path: &Path) -> anyhow::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        bail!("cannot write {}: no such folder", path.display());
    }
    Ok(())
}

#[expect(
    clippy::print_stderr,
    reason = "the one place where an error reaches the user"
)]
fn report(error: &anyhow::Error) {
    eprintln!("Error: {error:#}");
}
