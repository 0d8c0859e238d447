//! What is made out of the flags: the manual page and the completion scripts.

use std::io;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use roff::{Roff, bold, roman};

use super::Args;
use crate::control::admin::catalogue::{ENDPOINTS, METRICS};

/// The completion script for a shell.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), NAME, &mut script);
    script
}

/// The manual page, in roff: the forwarder, then each subcommand with what it takes beside the
/// forwarder's flags.
///
/// # Errors
/// None in practice: it is written into memory.
pub fn page() -> io::Result<Vec<u8>> {
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    let man = Man::new(command.clone()).manual("Portamento");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for subcommand in command.get_subcommands() {
        page.extend(section(subcommand));
        Man::new(without(subcommand, &command)).render_options_section(&mut page)?;
    }
    page.extend(list("ENDPOINTS", &ENDPOINTS));
    let metrics = METRICS.map(|metric| (metric.shown(), metric.help));
    page.extend(list("METRICS", &metrics));
    for (title, terms) in [("EXIT STATUS", EXIT_STATUS), ("SIGNALS", SIGNALS)] {
        page.extend(list(title, terms));
    }
    Ok(page)
}

/// The heading of a subcommand, and what it does.
fn section(subcommand: &Command) -> Vec<u8> {
    let mut roff = Roff::new();
    let title = format!("{NAME} {}", subcommand.get_name()).to_uppercase();
    roff.control("SH", [title.as_str()]);
    let about = subcommand
        .get_long_about()
        .or_else(|| subcommand.get_about());
    for line in about.map(ToString::to_string).unwrap_or_default().lines() {
        match line.trim() {
            "" => roff.control("PP", []),
            line => roff.text([roman(line)]),
        };
    }
    roff.to_roff().into_bytes()
}

/// A subcommand without the flags that the forwarder has, too: the page has told of those.
fn without(subcommand: &Command, forwarder: &Command) -> Command {
    let told: Vec<_> = forwarder.get_arguments().map(clap::Arg::get_id).collect();
    let own = subcommand
        .get_arguments()
        .filter(|arg| !told.contains(&arg.get_id()));
    let mut own = Command::new(NAME).disable_help_flag(true).args(own);
    own.build();
    own
}

fn list(title: &str, terms: &[(impl AsRef<str>, &str)]) -> Vec<u8> {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    for (term, text) in terms {
        roff.control("TP", []);
        roff.text([bold(term.as_ref())]);
        roff.text([roman(*text)]);
    }
    roff.to_roff().into_bytes()
}

const NAME: &str = "portamento";

const EXIT_STATUS: &[(&str, &str)] = &[
    (
        "0",
        "A clean end, also after a drain; check has found no error.",
    ),
    (
        "1",
        "A failure at the start or at run time; check has found an error.",
    ),
    (
        "2",
        "A wrong command line, or a wrong environment variable.",
    ),
];

const SIGNALS: &[(&str, &str)] = &[
    (
        "SIGTERM",
        "Drains: goes on accepting until the upstream is gone, or no connection is left, or the \
         drain timeout has passed. With a shared or an inherited port it stops accepting at once.",
    ),
    (
        "SIGINT",
        "Stops accepting, and cuts what has not ended after a second; a second one ends at once.",
    ),
];
