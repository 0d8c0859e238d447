//! Where the figures come from, said before the first of them.

use std::fs;

use loadtest::report::Environment;
use portamento::config::{Size, defaults};
use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size, pipe};

/// Prints the units of a bench and the machine, to stderr: stdout belongs to criterion.
#[expect(
    clippy::print_stderr,
    reason = "figures without their machine say nothing"
)]
pub(crate) fn print(units: &str) {
    let Environment {
        kernel, cpu, cpus, ..
    } = Environment::read();
    eprintln!("{units}");
    eprintln!("kernel {kernel}; {cpu}, {cpus} CPUs usable; clients and origin share them");
    eprintln!(
        "pipes: pipe-max-size {} bytes, pipe-user-pages-soft {} pages; asked for {}, granted {}",
        kernel_setting("pipe-max-size"),
        kernel_setting("pipe-user-pages-soft"),
        defaults::PIPE_SIZE,
        granted().map_or_else(|| "none".to_owned(), |size| size.to_string()),
    );
}

fn kernel_setting(name: &str) -> String {
    fs::read_to_string(format!("/proc/sys/fs/{name}"))
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// The capacity of a pipe that is asked to have the default one.
fn granted() -> Option<Size> {
    let (_read, write) = pipe().ok()?;
    fcntl_setpipe_size(&write, defaults::PIPE_SIZE.0).ok(); // EPERM: what it has is read back
    fcntl_getpipe_size(&write).ok().map(Size)
}
