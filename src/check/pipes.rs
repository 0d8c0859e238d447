//! Does splicing work here, and how many pipes of which size can this user have?

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::AsFd,
    time::Duration,
};

use rustix::{
    param::page_size,
    thread::{CapabilitySet, capabilities},
};

use super::Finding;
use crate::{
    config::{Config, Engine, Size},
    path::pipe::{NoPipe, PipeLease, PipePool},
    server,
};

pub(super) fn check(config: &Config) -> Vec<Finding> {
    if config.relay.engine == Engine::Copy {
        return vec![Finding::ok(SPLICE, "--engine copy needs no pipes")];
    }
    let limits = Limits::read();
    vec![
        limits.finding(server::max_pipes(config), config.relay.pipe_size),
        splice(config.relay.pipe_size),
    ]
}

/// What the kernel allows; see pipe(7).
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Bytes of one pipe of an unprivileged user.
    max_size: usize,
    /// Pages of all pipes of an unprivileged user, beyond which new ones are small; zero is no
    /// limit.
    soft: usize,
    /// The same, beyond which there are no new ones.
    hard: usize,
    /// None of this binds this process.
    privileged: bool,
}

impl Limits {
    /// A limit that can't be read is none: the self-test tells.
    fn read() -> Self {
        let read = |name| {
            let text = fs::read_to_string(format!("/proc/sys/fs/{name}")).ok()?;
            text.trim().parse().ok()
        };
        let free = CapabilitySet::SYS_RESOURCE | CapabilitySet::SYS_ADMIN;
        Self {
            max_size: read("pipe-max-size").unwrap_or(usize::MAX),
            soft: read("pipe-user-pages-soft").unwrap_or(0),
            hard: read("pipe-user-pages-hard").unwrap_or(0),
            privileged: capabilities(None).is_ok_and(|sets| sets.effective.intersects(free)),
        }
    }

    fn finding(self, pipes: usize, size: usize) -> Finding {
        const ID: &str = "pipe-limits";
        let asked = Size(size);
        if self.privileged {
            return Finding::ok(
                ID,
                format_args!(
                    "{pipes} pipes of {asked}: this process is privileged, no limit binds it"
                ),
            );
        }
        if size > self.max_size {
            let max = Size(self.max_size);
            return Finding::warning(
                ID,
                format_args!(
                    "--pipe-size {asked} exceeds fs.pipe-max-size, so that pipes get {max} at \
                     most: raise the sysctl, or give --pipe-size {max}"
                ),
            );
        }
        let room = |pages: usize| match pages {
            0 => usize::MAX,
            pages => pages.saturating_mul(page_size()) / size.next_power_of_two(),
        };
        let (name, room) = match (room(self.soft), room(self.hard)) {
            (soft, hard) if soft <= hard => ("fs.pipe-user-pages-soft", soft),
            (_, hard) => ("fs.pipe-user-pages-hard", hard),
        };
        if pipes > room {
            return Finding::warning(
                ID,
                format_args!(
                    "{name} has room for {room} of {pipes} pipes of {asked}, all processes of this \
                     user together; beyond it bytes are copied: raise the sysctl, or lower \
                     --max-pipes or --pipe-size"
                ),
            );
        }
        Finding::ok(
            ID,
            format_args!(
                "{pipes} pipes of {asked} are within {name}, which all processes of this user on \
                 this host share"
            ),
        )
    }
}

/// Splices from one connection to another, through a pipe as a worker has them.
fn splice(size: usize) -> Finding {
    let pool = PipePool::new(1, size);
    let asked = Size(size);
    let lease = match pool.lease() {
        Ok(lease) => lease,
        Err(NoPipe::Failed(error)) => {
            return Finding::warning(
                SPLICE,
                format_args!(
                    "no pipe can be had ({error}), so that all bytes are copied: see fs.pipe-user-pages-hard"
                ),
            );
        }
        Err(NoPipe::Small | NoPipe::Limit) => {
            let granted = Size(pool.granted());
            return Finding::warning(
                SPLICE,
                format_args!(
                    "the kernel grants {granted} for a pipe instead of {asked}, which is not worth \
                     splicing, so that all bytes are copied: see fs.pipe-user-pages-soft and \
                     fs.pipe-max-size"
                ),
            );
        }
    };
    match splice_through(lease) {
        Ok(count) => Finding::ok(
            SPLICE,
            format_args!(
                "{count} bytes went from socket to socket through a pipe of {}, asked for {asked}",
                Size(pool.granted())
            ),
        ),
        Err(error) => Finding::warning(
            SPLICE,
            format_args!(
                "splicing between two sockets fails ({error}): allow splice in the sandbox, or \
                 give --engine copy"
            ),
        ),
    }
}

/// Returns how many bytes arrived as they were sent.
fn splice_through(mut pipe: PipeLease) -> io::Result<usize> {
    let (mut client, server) = pair()?;
    let (upstream, mut origin) = pair()?;
    let sent: Vec<u8> = (0..=u8::MAX).cycle().take(4096).collect();
    client.write_all(&sent)?;
    server.peek(&mut [0])?; // it has arrived
    let count = pipe.fill(server.as_fd())?;
    while pipe.pending() > 0 {
        pipe.drain_to(upstream.as_fd())?;
    }
    let mut received = vec![0; count];
    origin.read_exact(&mut received)?;
    match sent.starts_with(&received) && count > 0 {
        true => Ok(count),
        false => Err(io::Error::other("other bytes arrived than were sent")),
    }
}

/// The two ends of a connection over loopback.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    for end in [&client, &server] {
        end.set_read_timeout(Some(Duration::from_secs(1)))?;
    }
    Ok((client, server))
}

const SPLICE: &str = "splice";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::report::Level;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn pipes_beyond_what_the_user_may_have_are_a_warning() {
        let usual = Limits {
            max_size: MIB,
            soft: 64 * MIB / page_size(),
            hard: 0,
            privileged: false,
        };
        let hard = Limits {
            soft: 0,
            hard: usual.soft,
            ..usual
        };
        let root = Limits {
            privileged: true,
            ..usual
        };
        for (limits, pipes, size, level) in [
            (usual, 64, MIB, Level::Ok),
            (usual, 65, MIB, Level::Warning),
            (usual, 65, MIB / 2, Level::Ok),
            (usual, 64, MIB - 1, Level::Ok),
            (usual, 1, 2 * MIB, Level::Warning),
            (hard, 64, MIB, Level::Ok),
            (hard, 65, MIB, Level::Warning),
            (root, 1000, 64 * MIB, Level::Ok),
        ] {
            let finding = limits.finding(pipes, size);
            assert_eq!(finding.level, level, "{limits:?}: {}", finding.message);
        }
    }

    #[test]
    fn a_pipe_that_nobody_grants_is_as_large_as_can_be_had() {
        let finding = splice(64 * 1024 * MIB);
        assert_eq!(finding.level, Level::Ok, "{}", finding.message);
        let told = finding.message.split("a pipe of ").nth(1).unwrap();
        assert!(!told.starts_with("64KiB"), "{}", finding.message);
    }
}
