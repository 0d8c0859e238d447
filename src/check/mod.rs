//! `portamento check`: would it work here, and does the ring lead to it?
//!
//! Nothing of this runs in the forwarding process, and nothing but `main` imports it. What is
//! looked at is looked at for real: addresses are bound, a pipe is spliced through, the upstream
//! is connected to and asked, the ring is fetched.

mod cpu;
mod dial;
mod ephemeral;
mod files;
mod health;
mod listen;
mod own;
mod owner;
mod pipes;
mod report;
mod ring;
mod upstream;

use std::{future::Future, io};

use tokio::runtime::Builder;

pub use self::report::Report;
use self::{own::Own, report::Finding};
use crate::{
    cli::{CheckArgs, ScopeArgs},
    config::{Config, ConfigError},
};

/// Why nothing was checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The forwarder would not take the flags.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The environment variable `POD_IP` holds something else.
    #[error("POD_IP '{0}': not an IP address; correct it, or give --instance-addr")]
    PodIp(String),
    /// This process can't be set up.
    #[error("cannot check: {0}")]
    Start(io::Error),
}

/// Looks at everything, and binds nothing for longer than it takes to see that it can.
///
/// # Errors
/// The flags or `POD_IP` are wrong, or there is no runtime to be had.
pub fn run(args: CheckArgs) -> Result<Report, CheckError> {
    let config = Config::try_from(args.forwarder)?;
    let ScopeArgs {
        ring,
        instance_addr,
        json: _,
    } = args.scope;
    let ring = match ring {
        Some(url) => Some((url, Own::find(instance_addr)?)),
        None => None,
    };
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CheckError::Start)?;
    let findings = runtime.block_on(async {
        let mut findings = vec![Finding::ok(
            "flags",
            format_args!("they are valid: {config}"),
        )];
        findings.extend(listen::check(&config).await);
        findings.extend(ephemeral::check(&config));
        findings.extend(files::check(&config));
        findings.extend(pipes::check(&config));
        findings.extend(cpu::check(&config));
        findings.extend(upstream::check(&config).await);
        if let Some((url, own)) = &ring {
            findings.extend(ring::check(url, own, &config).await);
        }
        findings
    });
    Ok(Report::new(findings))
}

/// Runs all at once, and gives the results in their order.
async fn all<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        match task.await {
            Ok(result) => results.push(result),
            Err(failed) => std::panic::resume_unwind(failed.into_panic()), // nobody aborts them
        }
    }
    results
}

/// The first few of them, and how many more there are.
fn list(items: &[impl ToString]) -> String {
    const LISTED: usize = 5;
    let mut shown: Vec<_> = items.iter().take(LISTED).map(ToString::to_string).collect();
    if items.len() > LISTED {
        shown.push(format!("and {} more", items.len() - LISTED));
    }
    shown.join(", ")
}
