//! The `loadtest` binary: reads the flags, runs the subcommand, turns its result into an exit
//! code: 0 good, 1 failed, 2 a mistake in the flags.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use loadtest::cli::{Cli, Command, OverheadArgs};
use loadtest::report::table::Table;
use loadtest::{overhead, serve};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Cli { command } = Cli::read(); // exits with 2 by itself
    let result = match command {
        Command::Serve(args) => serve::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Overhead(args) => measure_overhead(&args),
    };
    result.unwrap_or_else(|error| {
        report(&error);
        ExitCode::FAILURE
    })
}

fn measure_overhead(args: &OverheadArgs) -> anyhow::Result<ExitCode> {
    if let Some(path) = &args.json {
        has_folder(path)?; // a wrong path shows before the run, not after it
    }
    let report = overhead::run(args)?;
    io::stdout()
        .lock()
        .write_all(Table(&report).to_string().as_bytes())?;
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(overhead::verdict(&report))
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
