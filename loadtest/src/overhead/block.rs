//! One block: a list of calls, made by one arm as fast as its streams allow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::compare::{Expected, Mismatch};
use super::mix::Mix;
use crate::client::QuerierClient;

/// What all blocks of a run share.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The calls of the run.
    pub(super) mix: Arc<Mix>,
    /// Their answers.
    pub(super) expected: Arc<Expected>,
    /// Calls in flight on each connection.
    pub(super) streams: usize,
}

/// One call as it went.
#[derive(Debug)]
pub(super) struct Sample {
    /// Its place in [`Mix::calls`].
    pub(super) call: usize,
    /// How it ended.
    pub(super) outcome: Outcome,
    /// Whether it ended within its arm's turn. In closed loop every call does.
    pub(super) in_turn: bool,
}

/// How a call ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// With an answer.
    Answered {
        /// Until the whole answer, decompressed, was there: from when the call began, or in open
        /// loop from when it should have begun.
        latency: Duration,
        /// From when the call did begin.
        service: Duration,
        /// Size of the answer.
        bytes: usize,
        /// Where it is not the expected one.
        mismatch: Option<Mismatch>,
    },
    /// With this status.
    Failed(tonic::Status),
}

impl Outcome {
    /// Whether there was no answer at all.
    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

impl Plan {
    /// Makes `calls` over `clients`, in order, with `streams` calls in flight on each. Begins no
    /// call after `end`, so that a proxy that stalls cannot prolong a run beyond one deadline.
    ///
    /// # Errors
    /// When a task panicked.
    pub(super) async fn run_block(
        &self,
        clients: &[QuerierClient],
        calls: &[usize],
        end: Instant,
    ) -> anyhow::Result<Vec<Sample>> {
        let calls: Arc<[usize]> = calls.into();
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        // Connection by connection, so that few calls still use all connections.
        for _ in 0..self.streams {
            for client in clients {
                let (plan, client) = (self.clone(), client.clone());
                let (calls, next) = (Arc::clone(&calls), Arc::clone(&next));
                workers.spawn(async move {
                    let mut samples = Vec::new();
                    while Instant::now() < end
                        && let Some(&call) = calls.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        samples.push(Sample {
                            call,
                            outcome: plan.make(&client, call, None).await,
                            in_turn: true,
                        });
                    }
                    samples
                });
            }
        }
        let mut samples = Vec::with_capacity(calls.len());
        while let Some(joined) = workers.join_next().await {
            samples.extend(joined?);
        }
        Ok(samples)
    }

    /// Makes the call at `place`, now. `due` is when it should have begun, if not now.
    pub(super) async fn make(
        &self,
        client: &QuerierClient,
        place: usize,
        due: Option<Instant>,
    ) -> Outcome {
        let call = &self.mix.calls()[place].call;
        let began = Instant::now();
        let answer = client.call(call).await;
        let ended = Instant::now();
        match answer {
            Ok(answer) => Outcome::Answered {
                latency: ended - due.unwrap_or(began),
                service: ended - began,
                bytes: answer.len(),
                mismatch: self.expected.difference(place, &answer),
            },
            Err(status) => Outcome::Failed(status),
        }
    }
}
