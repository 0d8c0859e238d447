//! How far a run is, and how fast.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar with the live rate. It hides by itself where stderr is no terminal.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    /// When the rate was shown last, and the calls up to then.
    shown: (Duration, u64),
}

/// How often the rate is shown anew: slow enough to be read.
const EVERY: Duration = Duration::from_millis(500);

impl Progress {
    /// A bar for a run of `time`.
    pub(super) fn new(time: Duration) -> Self {
        let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Self {
            bar: ProgressBar::new(millis(time)).with_style(style),
            shown: (Duration::ZERO, 0),
        }
    }

    /// No bar at all.
    pub(super) fn hidden() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            shown: (Duration::ZERO, 0),
        }
    }

    /// Shows that `elapsed` of the time is over, with the calls made by all targets together and
    /// those of them that went wrong.
    pub(super) fn show(&mut self, elapsed: Duration, (calls, wrong): (u64, u64)) {
        self.bar.set_position(millis(elapsed));
        let (at, before) = self.shown;
        let since = elapsed.saturating_sub(at);
        if since >= EVERY {
            let rate = calls.saturating_sub(before) as f64 / since.as_secs_f64();
            self.shown = (elapsed, calls);
            self.bar
                .set_message(format!("{rate:.0} calls/s, {calls} calls, {wrong} errors"));
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
