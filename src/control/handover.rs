//! What a service manager passes on: sockets, in `LISTEN_FDS`.

use std::{
    env,
    os::fd::{AsFd, OwnedFd},
    process,
};

use listenfd::ListenFd;
use rustix::{
    net::getpeername,
    process::{Resource, getrlimit},
};

use crate::{
    config::ListenAddr,
    edge::{bind::FIRST_PASSED, local_address::local_address},
};

/// The listening sockets that were passed on, in their order. To be called once, before there are
/// threads: it takes the variables out of the environment. What is meant for another process, by
/// `LISTEN_PID`, is none.
///
/// # Errors
/// `LISTEN_FDS` is no number of descriptors, or one of them can't let clients in.
pub fn inherited() -> Result<Vec<OwnedFd>, HandoverError> {
    let pid = env::var_os("LISTEN_PID").map(|pid| pid.to_string_lossy().into_owned());
    if let Some(count) = env::var_os("LISTEN_FDS")
        && is_meant(pid.as_deref(), process::id())
    {
        check_count(
            &count.to_string_lossy(),
            getrlimit(Resource::Nofile).current,
        )?;
    }
    let mut passed = ListenFd::from_env();
    (0..passed.len())
        .filter_map(|index| {
            let descriptor = FIRST_PASSED + index;
            let fd = match passed.take_tcp_listener(index) {
                Ok(listener) => listener.map(OwnedFd::from),
                Err(_) => match passed.take_unix_listener(index) {
                    Ok(listener) => listener.map(OwnedFd::from),
                    Err(_) => return Some(Err(HandoverError::Useless(descriptor))),
                },
            }?;
            Some(match getpeername(&fd) {
                Ok(Some(_)) => Err(HandoverError::Connected(descriptor)),
                Ok(None) | Err(_) => Ok(fd),
            })
        })
        .collect()
}

/// Where such sockets listen, or will.
pub fn addresses(sockets: &[OwnedFd]) -> Vec<ListenAddr> {
    let addresses = sockets.iter().map(|fd| local_address(fd.as_fd()));
    addresses.collect()
}

/// More than anybody passes on. Where there is no limit on open files, this is the one.
const MOST: usize = 1 << 16;

/// Whether the sockets are for this process. One that execs without a word of whom it means, means
/// whom it becomes.
fn is_meant(pid: Option<&str>, own: u32) -> bool {
    pid.is_none_or(|pid| pid.is_empty() || pid.parse() == Ok(own))
}

/// Checks a number of descriptors before anything of its size is made.
fn check_count(value: &str, nofile: Option<u64>) -> Result<(), HandoverError> {
    if value.is_empty() {
        return Ok(()); // as if it were not there
    }
    let most = nofile.and_then(|nofile| usize::try_from(nofile).ok());
    let most = most.map_or(MOST, |most| most.saturating_sub(FIRST_PASSED).min(MOST));
    match value.parse::<usize>() {
        Ok(count) if count <= most => Ok(()),
        Ok(_) => Err(HandoverError::TooMany {
            count: value.to_owned(),
            most,
        }),
        Err(_) => Err(HandoverError::Count(value.chars().take(40).collect())),
    }
}

/// Why sockets can't be taken over.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandoverError {
    /// No number.
    #[error("LISTEN_FDS '{0}': not a number of descriptors")]
    Count(String),
    /// More than there can be.
    #[error("LISTEN_FDS '{count}': this process can have {most} of them at most")]
    TooMany {
        /// As it was given.
        count: String,
        /// By the limit on open files.
        most: usize,
    },
    /// A descriptor by which no client can come.
    #[error("LISTEN_FDS: descriptor {0} is no TCP or unix stream socket")]
    Useless(usize),
    /// A connection.
    #[error("LISTEN_FDS: descriptor {0} is a connection; pass a socket that listens")]
    Connected(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_a_number_of_descriptors_that_there_can_be() {
        let check = |value| check_count(value, Some(1024));
        for value in ["", "0", "1", "1021"] {
            assert_eq!(check(value), Ok(()), "{value:?}");
        }
        for value in ["abc", "-1", "1 ", " 1", "1.5", "99999999999999999999"] {
            assert_eq!(check(value), Err(HandoverError::Count(value.into())));
        }
        for (nofile, most) in [(Some(1024), 1021), (Some(2), 0), (None, MOST)] {
            let count = "2147483647".to_owned();
            let error = HandoverError::TooMany { count, most };
            assert_eq!(check_count("2147483647", nofile), Err(error));
        }
    }

    #[test]
    fn sockets_for_another_process_are_not_meant() {
        for (pid, expected) in [
            (None, true),
            (Some(""), true),
            (Some("7"), true),
            (Some("8"), false),
            (Some("seven"), false),
        ] {
            assert_eq!(is_meant(pid, 7), expected, "{pid:?}");
        }
    }
}
