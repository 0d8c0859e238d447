//! `/connections`: the live ones, a page at a time, worker by worker.

use std::{sync::PoisonError, time::Duration};

use serde::Serialize;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    account::row::Row,
    path::{listener::Gate, worker::Command},
};

/// Connections of a page that does not say how many.
const LIMIT: usize = 100;

/// Connections of a page at most.
const LIMIT_MAX: usize = 1000;

/// Connections that a worker shows in one go: it moves no bytes meanwhile, for 0.3 ms at most (measured
/// with everything that a request costs).
const AT_ONCE: usize = 50;

/// How long a worker may take; a stuck one is named instead.
const PATIENCE: Duration = Duration::from_secs(1);

/// A page of the live connections.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    connections: Vec<Row>,
    /// What to ask for next (`?after=`), where there may be more.
    next: Option<String>,
    /// Workers that did not answer; theirs are missing.
    silent_workers: Vec<usize>,
}

/// Which connections are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    limit: usize,
    /// Where the page begins: a worker, and the least serial number there.
    first: (usize, u64),
}

/// Why a query can't be answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    #[error("limit='{0}': give a whole number from 1 to {LIMIT_MAX}")]
    Limit(String),
    #[error("after='{0}': give the value of 'next', or an 'id'")]
    After(String),
    #[error("'{0}' is not known here; there is limit and after")]
    Unknown(String),
}

impl Query {
    /// Reads `limit=N&after=ID`, both optional.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(query: &str) -> Result<Self, QueryError> {
        let (mut limit, mut first) = (LIMIT, (0, 0));
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name {
                "limit" => {
                    limit = value
                        .parse()
                        .ok()
                        .filter(|limit| (1..=LIMIT_MAX).contains(limit))
                        .ok_or_else(|| QueryError::Limit(value.to_owned()))?;
                }
                "after" => {
                    first = after(value).ok_or_else(|| QueryError::After(value.to_owned()))?;
                }
                _ => return Err(QueryError::Unknown(name.to_owned())),
            }
        }
        Ok(Self { limit, first })
    }
}

/// The place behind the connection `WORKER-SERIAL`.
fn after(id: &str) -> Option<(usize, u64)> {
    let (worker, serial) = id.split_once('-')?;
    let serial: u64 = serial.parse().ok()?;
    Some((worker.parse().ok()?, serial.checked_add(1)?))
}

/// Asks the workers, one after the other.
pub(super) async fn page(gate: &Gate, query: Query) -> Page {
    let mut page = Page {
        connections: Vec::new(),
        next: None,
        silent_workers: Vec::new(),
    };
    let (mut worker, mut first) = query.first;
    while page.connections.len() < query.limit {
        let limit = AT_ONCE.min(query.limit - page.connections.len());
        let Some(answer) = ask(gate, worker, first, limit) else {
            return page; // that was the last worker
        };
        let Ok(Ok(rows)) = timeout(PATIENCE, answer).await else {
            page.silent_workers.push(worker);
            (worker, first) = (worker + 1, 0);
            continue;
        };
        let full = rows.len() == limit;
        page.connections.extend(rows);
        (worker, first) = match page.connections.last() {
            Some(last) if full => after(&last.id).unwrap_or((worker + 1, 0)),
            _ => (worker + 1, 0),
        };
    }
    page.next = page.connections.last().map(|row| row.id.clone());
    page
}

/// `None`: there is no such worker.
fn ask(
    gate: &Gate,
    worker: usize,
    first: u64,
    limit: usize,
) -> Option<oneshot::Receiver<Vec<Row>>> {
    let (reply, answer) = oneshot::channel();
    let dispatch = gate.dispatch.lock().unwrap_or_else(PoisonError::into_inner);
    dispatch.workers().get(worker)?.tell(Command::Show {
        first,
        limit,
        reply,
    });
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_how_many_and_behind_which() {
        let parse = |query| Query::parse(query).unwrap();
        let (limit, first) = (LIMIT, (0, 0));
        assert_eq!(parse(""), Query { limit, first });
        let (limit, first) = (7, (2, 10));
        assert_eq!(parse("limit=7&after=2-9"), Query { limit, first });
    }

    #[test]
    fn a_query_that_makes_no_sense_is_refused() {
        for query in [
            "limit=0",
            "limit=1001",
            "limit=x",
            "after=1",
            "after=a-1",
            "sort=age",
        ] {
            assert!(Query::parse(query).is_err(), "{query}");
        }
    }
}
