//! What counters are told apart by: each a bounded set, with the values of its label.

use super::outcome::{By, Outcome, Reason};

/// Where the bytes of a direction go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToUpstream,
    ToClient,
}

impl Way {
    pub(crate) const ALL: [Self; 2] = [Self::ToUpstream, Self::ToClient];

    /// The value of the label `direction`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ToUpstream => "to_upstream",
            Self::ToClient => "to_client",
        }
    }

    /// The side that the bytes come from.
    pub(crate) fn source(self) -> By {
        match self {
            Self::ToUpstream => By::Client,
            Self::ToClient => By::Upstream,
        }
    }

    /// The side that the bytes go to.
    pub(crate) fn target(self) -> By {
        match self {
            Self::ToUpstream => By::Upstream,
            Self::ToClient => By::Client,
        }
    }
}

/// How bytes moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Copy,
    Splice,
}

impl Path {
    pub(crate) const ALL: [Self; 2] = [Self::Copy, Self::Splice];

    /// The value of the label `path`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Splice => "splice",
        }
    }
}

/// Why a direction copied what it would have spliced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// All pipes that `--max-pipes` allows are leased.
    Limit,
    /// The kernel grants too small ones.
    Small,
    /// The kernel grants none.
    Failed,
    /// The socket can't be spliced from.
    Unsupported,
}

impl Fallback {
    pub(crate) const ALL: [Self; 4] = [Self::Limit, Self::Small, Self::Failed, Self::Unsupported];

    /// The value of the label `reason`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Small => "small",
            Self::Failed => "failed",
            Self::Unsupported => "unsupported",
        }
    }
}

/// How an attempt to reach the upstream for a connection ended, retries and all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connect {
    Ok,
    Refused,
    Timeout,
    Resolve,
    Error,
    /// The connection was cut before that, or the client left.
    Cut,
}

impl Connect {
    pub(crate) const ALL: [Self; 6] = [
        Self::Ok,
        Self::Refused,
        Self::Timeout,
        Self::Resolve,
        Self::Error,
        Self::Cut,
    ];

    /// What the outcome of a connection without an upstream says.
    pub(crate) fn failed(outcome: &Outcome) -> Self {
        match outcome.reason {
            Reason::Refused => Self::Refused,
            Reason::ConnectTimeout => Self::Timeout,
            Reason::Resolve => Self::Resolve,
            Reason::Gone | Reason::Lifetime | Reason::Drain | Reason::Aborted => Self::Cut,
            _ => Self::Error,
        }
    }

    /// The value of the label `result`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Resolve => "resolve",
            Self::Error => "error",
            Self::Cut => "cut",
        }
    }
}
