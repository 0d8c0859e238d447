//! Do the limits carry the connections?

use std::{fs, num::NonZeroUsize};

use super::Finding;
use crate::{config::Config, server, sys};

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let nofile = sys::raise_nofile();
    let affordable = server::affordable_connections(nofile, server::max_pipes(config));
    let mut findings = vec![open_files(config.max_connections, nofile, affordable)];
    if let Ok(somaxconn) = fs::read_to_string("/proc/sys/net/core/somaxconn")
        && let Ok(somaxconn) = somaxconn.trim().parse()
    {
        findings.push(backlog(config.sockets.backlog, somaxconn));
    }
    findings
}

fn open_files(wanted: Option<NonZeroUsize>, nofile: u64, affordable: Option<usize>) -> Finding {
    const ID: &str = "open-files";
    match (wanted, affordable) {
        (_, None) => Finding::error(
            ID,
            format_args!(
                "the limit on open files (nofile) is {nofile}, too low for a single connection: \
                 raise it"
            ),
        ),
        (Some(wanted), Some(carried)) if wanted.get() > carried => Finding::warning(
            ID,
            format_args!(
                "the limit on open files (nofile) is {nofile} and carries {carried} connections, \
                 not the {wanted} of --max-connections: raise it, or lower --max-connections"
            ),
        ),
        (_, Some(carried)) => Finding::ok(
            ID,
            format_args!(
                "the limit on open files (nofile) is {nofile} and carries {carried} connections"
            ),
        ),
    }
}

fn backlog(backlog: u16, somaxconn: u64) -> Finding {
    const ID: &str = "backlog";
    if u64::from(backlog) > somaxconn {
        Finding::warning(
            ID,
            format_args!(
                "net.core.somaxconn cuts --backlog {backlog} down to {somaxconn}: raise it, or \
                 lower --backlog"
            ),
        )
    } else {
        Finding::ok(
            ID,
            format_args!("--backlog {backlog} is within net.core.somaxconn ({somaxconn})"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::report::Level;

    #[test]
    fn more_connections_than_the_limit_carries_are_a_warning_and_none_an_error() {
        for (wanted, affordable, level) in [
            (None, Some(10), Level::Ok),
            (NonZeroUsize::new(10), Some(10), Level::Ok),
            (NonZeroUsize::new(11), Some(10), Level::Warning),
            (None, None, Level::Error),
            (NonZeroUsize::new(1), None, Level::Error),
        ] {
            assert_eq!(
                open_files(wanted, 100, affordable).level,
                level,
                "{wanted:?}"
            );
        }
    }

    #[test]
    fn a_backlog_that_the_kernel_cuts_down_is_a_warning() {
        assert_eq!(backlog(1024, 1024).level, Level::Ok);
        assert_eq!(backlog(1024, 1023).level, Level::Warning);
    }
}
