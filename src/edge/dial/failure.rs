//! Why an upstream could not be reached.

use std::io;

use rustix::io::Errno;

use crate::{edge::resolver::Unresolved, sys};

/// Why an upstream could not be reached.
#[derive(Debug)]
pub(crate) enum Failure {
    Refused(Errno),
    TimedOut,
    Unresolved(Unresolved),
    Other(Errno),
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        match error {
            Errno::CONNREFUSED => Self::Refused(error),
            Errno::TIMEDOUT => Self::TimedOut,
            error => Self::Other(error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Errno::from_io_error(&error).unwrap_or(Errno::IO).into()
    }
}

impl From<Unresolved> for Failure {
    fn from(error: Unresolved) -> Self {
        Self::Unresolved(error)
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(errno) | Failure::Other(errno) => errno.into(),
            Failure::TimedOut => io::ErrorKind::TimedOut.into(),
            Failure::Unresolved(error) => {
                Self::other(format!("the name cannot be resolved ({error})"))
            }
        }
    }
}

/// The failure to tell of, of those of several addresses: a refusal, which may be over soon; else what
/// kept this host from trying; else the first address's.
pub(super) fn decisive(failures: Vec<(usize, Failure)>) -> Failure {
    let rank = |failure: &Failure| match failure {
        Failure::Refused(_) => 0,
        Failure::Other(errno) if sys::is_shortage(*errno) => 1,
        _ => 2,
    };
    failures
        .into_iter()
        .min_by_key(|(place, failure)| (rank(failure), *place))
        .map_or(Failure::Unresolved(Unresolved::Empty), |(_, failure)| {
            failure
        })
}
