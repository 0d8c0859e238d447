//! Whether a process holds what it held, after all connections have ended.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::process::files::Files;
use crate::process::usage::Usage;
use crate::report::Flat;

/// What a process holds at the end of each period, when no connection is open.
#[derive(Debug)]
pub(crate) struct Holdings {
    pid: u32,
    samples: Vec<Held>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    files: Files,
    rss: u64,
}

/// What may be held more in the later half of the periods than in the earlier one: what a pool or
/// an allocator keeps after a burst that was larger by chance. A leak grows with the connections,
/// and soon beyond it.
const FILES: u64 = 8;
const PIPES: u64 = 128; // ends
const RSS: u64 = 8 << 20; // bytes

impl Holdings {
    /// Of the process tree of `pid`.
    ///
    /// # Errors
    /// When it is not there, or another user's.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        held(pid)?;
        let samples = Vec::new();
        Ok(Self { pid, samples })
    }

    /// Looks, as soon as the process has stopped letting go, or after 10 s.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) async fn look(&mut self) -> anyhow::Result<()> {
        const SAME: u32 = 10; // looks
        const LIMIT: Duration = Duration::from_secs(10);
        let started = Instant::now();
        let mut last = held(self.pid)?;
        let mut same = 0;
        while same < SAME {
            if started.elapsed() > LIMIT {
                break; // what it holds by then, it holds
            }
            sleep(Duration::from_millis(20)).await; // between two looks at the condition
            let now = held(self.pid)?;
            same = if now.files == last.files { same + 1 } else { 0 };
            last = now;
        }
        self.samples.push(last);
        Ok(())
    }

    /// What was seen, and whether it is flat.
    pub(crate) fn report(&self) -> Vec<Flat> {
        let flat = |what: &str, most_more, of: fn(&Held) -> u64| {
            flat(what, most_more, self.samples.iter().map(of).collect())
        };
        vec![
            flat("open files, without pipes", FILES, |held| held.files.others),
            flat("ends of pipes", PIPES, |held| held.files.pipes),
            flat("resident bytes", RSS, |held| held.rss),
        ]
    }
}

fn held(pid: u32) -> anyhow::Result<Held> {
    Ok(Held {
        files: Files::read(pid)?,
        rss: Usage::read(pid)?.rss,
    })
}

fn flat(what: &str, most_more: u64, samples: Vec<u64>) -> Flat {
    let (earlier, later) = samples.split_at(samples.len() / 2);
    let most = |samples: &[u64]| samples.iter().copied().max();
    let is_flat = match (most(earlier), most(later)) {
        (Some(earlier), Some(later)) => later <= earlier + most_more,
        _ => true,
    };
    Flat {
        what: what.to_owned(),
        samples,
        most_more,
        is_flat,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_a_burst() {
        let is_flat = |samples: &[u64]| flat("files", 8, samples.to_vec()).is_flat;
        assert!(is_flat(&[20, 20, 28, 20, 28, 20, 22, 24]));
        assert!(!is_flat(&[20, 24, 28, 32, 36, 40, 44, 48]));
        assert!(is_flat(&[20]) && is_flat(&[]));
    }
}
