//! The verdicts of both ends, put together.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::bail;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::script::{Script, Side};
use super::verdict::{Mismatch, Verdict};
use crate::report::SoakReport;
use crate::units::bytes;

type Verdicts = mpsc::UnboundedReceiver<anyhow::Result<Verdict>>;

/// What both ends saw.
#[derive(Debug)]
pub(super) struct Tallied {
    seed: u64,
    client: Verdicts,
    upstream: Verdicts,
    /// Connections of which only one end has told yet.
    half: HashMap<u64, Side>,
    counts: Counts,
    mismatch: Option<Mismatch>,
    /// The mismatch is a byte that came, not one that did not.
    is_wrong_byte: bool,
}

#[derive(Debug, Default)]
struct Counts {
    /// Connections of which the client has told.
    ended: u64,
    half_closed: u64,
    reset: u64,
    slow: u64,
    resets_as_fin: u64,
    bytes: u64,
}

/// How long the origin may take to tell of connections that have ended at the client.
const LIMIT: Duration = Duration::from_secs(10);

/// How long the second end of a connection may take to tell what the first one misses.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);

impl Tallied {
    /// Nothing yet.
    pub(super) fn new(seed: u64, client: Verdicts, upstream: Verdicts) -> Self {
        Self {
            seed,
            client,
            upstream,
            half: HashMap::new(),
            counts: Counts::default(),
            mismatch: None,
            is_wrong_byte: false,
        }
    }

    /// Waits for a verdict and takes it.
    pub(super) async fn take(&mut self) {
        let (side, verdict) = tokio::select! {
            Some(verdict) = self.client.recv() => (Side::Client, verdict),
            Some(verdict) = self.upstream.recv() => (Side::Upstream, verdict),
            else => return std::future::pending().await, // nobody is left to tell
        };
        match verdict {
            Ok(verdict) => self.judge(side, &verdict),
            Err(error) => self.fail(Mismatch {
                connection: self.counts.ended,
                direction: "neither way".to_owned(),
                offset: 0,
                what: format!("{error:#}"),
            }),
        }
    }

    /// Waits until both ends have told of all `connections` so far.
    ///
    /// # Errors
    /// When the client has not told of all.
    pub(super) async fn complete(&mut self, connections: u64) -> anyhow::Result<()> {
        let all = async {
            while self.mismatch.is_none() && !(self.counts.ended == connections && self.is_even()) {
                self.take().await;
            }
        };
        if timeout(LIMIT, all).await.is_ok() {
            return Ok(());
        }
        if self.counts.ended < connections {
            bail!(
                "{} connections did not tell their end",
                connections - self.counts.ended
            );
        }
        // A connection that its client resets may never reach the origin.
        let untold = self
            .half
            .keys()
            .filter(|&&connection| !self.may_be_lost(connection))
            .min();
        if let Some(&connection) = untold {
            self.fail(Mismatch {
                connection,
                direction: Side::Upstream.receives().to_owned(),
                offset: 0,
                what: "the connection never ended at the upstream".to_owned(),
            });
        }
        Ok(())
    }

    /// Waits until both ends of the connection with the mismatch have told. An end that finds a
    /// wrong byte hangs up: what the other one then misses is no more than the consequence, but it
    /// may be told first.
    pub(super) async fn settle(&mut self) {
        let told = async {
            while let Some(mismatch) = &self.mismatch
                && !self.is_wrong_byte
                && self.half.contains_key(&mismatch.connection)
            {
                self.take().await;
            }
        };
        timeout(SETTLE_LIMIT, told).await.ok(); // then what is known will do
    }

    /// The first thing that was wrong.
    pub(super) fn mismatch(&self) -> Option<&Mismatch> {
        self.mismatch.as_ref()
    }

    /// A line for the progress bar.
    pub(super) fn progress(&self) -> String {
        let Counts {
            ended,
            bytes: checked,
            ..
        } = self.counts;
        format!("{ended} connections, {} checked", bytes(checked))
    }

    /// Fills in what was counted.
    pub(super) fn into_report(self, report: SoakReport) -> SoakReport {
        let counts = self.counts;
        let mut warnings = report.warnings;
        if counts.resets_as_fin > 0 {
            warnings.push(format!(
                "{} of {} resets came as FIN: the other side cannot tell that bytes are missing",
                counts.resets_as_fin, counts.reset
            ));
        }
        SoakReport {
            connections: counts.ended,
            half_closed: counts.half_closed,
            reset: counts.reset,
            slow: counts.slow,
            resets_as_fin: counts.resets_as_fin,
            checked_bytes: counts.bytes,
            mismatch: self.mismatch,
            warnings,
            ..report
        }
    }

    fn judge(&mut self, side: Side, verdict: &Verdict) {
        let script = Script::new(self.seed, verdict.connection);
        self.counts.bytes += verdict.received;
        self.counts.resets_as_fin += u64::from(verdict.is_reset_as_fin(&script, side));
        if side == Side::Client {
            let parts = [Side::Client, Side::Upstream].map(|side| script.part(side));
            let any = |what: fn(&super::script::Part) -> bool| u64::from(parts.iter().any(what));
            self.counts.ended += 1;
            self.counts.half_closed += any(|part| part.outlives);
            self.counts.reset += any(|part| part.resets);
            self.counts.slow += any(|part| part.read_pauses > 0);
        }
        if self.half.get(&verdict.connection) == Some(&side.peer()) {
            self.half.remove(&verdict.connection);
        } else {
            self.half.insert(verdict.connection, side);
        }
        if let Some(mismatch) = verdict.mismatch(&script, side) {
            let is_wrong_byte = verdict.mismatch.is_some();
            let is_cause = |first: &Mismatch| {
                is_wrong_byte && first.connection == mismatch.connection && !self.is_wrong_byte
            };
            if self.mismatch.as_ref().is_none_or(is_cause) {
                self.mismatch = Some(mismatch);
                self.is_wrong_byte = is_wrong_byte;
            }
        }
    }

    fn fail(&mut self, mismatch: Mismatch) {
        self.mismatch.get_or_insert(mismatch);
    }

    /// Whether both ends have told of the same connections, but for those that may be lost.
    fn is_even(&self) -> bool {
        self.half.is_empty()
    }

    fn may_be_lost(&self, connection: u64) -> bool {
        Script::new(self.seed, connection).part(Side::Client).resets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::verdict::{End, WrongByte};

    #[tokio::test]
    async fn a_wrong_byte_is_told_and_not_what_the_other_end_misses_for_it() {
        const SEED: u64 = 1;
        let connection = (0..)
            .find(|&connection| {
                let script = Script::new(SEED, connection);
                [Side::Client, Side::Upstream]
                    .iter()
                    .all(|&side| !script.part(side).resets && script.part(side).bytes > 10)
            })
            .unwrap();
        let cut = Verdict {
            connection,
            received: 5,
            end: End::Fin,
            mismatch: None,
        };
        let wrong = Verdict {
            mismatch: Some(WrongByte {
                expected: Some(1),
                received: 2,
                belongs: None,
            }),
            ..cut.clone()
        };
        for client_is_first in [true, false] {
            let (client, clients) = mpsc::unbounded_channel();
            let (upstream, upstreams) = mpsc::unbounded_channel();
            let mut tallied = Tallied::new(SEED, clients, upstreams);
            let (first, second) = match client_is_first {
                true => (&client, &upstream),
                false => (&upstream, &client),
            };
            first.send(Ok(cut.clone())).unwrap();
            tallied.take().await;
            assert!(tallied.mismatch().unwrap().what.starts_with("FIN, but "));
            second.send(Ok(wrong.clone())).unwrap();
            tallied.settle().await;
            assert_eq!(tallied.mismatch().unwrap().what, "0x02 instead of 0x01");
        }
    }
}
