//! When a run begins.

use std::time::{Duration, SystemTime};

use anyhow::bail;
use clap::Args;
use tokio::time::sleep;

/// The flag of commands that several machines can begin at once.
#[derive(Args, Clone, Debug, Default)]
pub struct StartArgs {
    /// Begin (with the warm-up) at this time, so that several machines begin at once: RFC 3339 in
    /// UTC, as 2026-01-31T12:00:00Z, or seconds since 1970. An error when it is past
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub start_at: Option<SystemTime>,
}

impl StartArgs {
    /// What is wrong with the flag now.
    pub(super) fn check(&self) -> Result<(), String> {
        const FARTHEST: Duration = Duration::from_secs(24 * 3_600);
        let Some(start_at) = self.start_at else {
            return Ok(());
        };
        let shown = humantime::format_rfc3339_millis(start_at);
        match start_at.duration_since(SystemTime::now()) {
            Ok(left) if left > FARTHEST => {
                Err(format!("--start-at {shown}: it is more than 24h ahead"))
            }
            Ok(_) => Ok(()),
            Err(late) => Err(format!(
                "--start-at {shown}: it is past, by {:.1} s",
                late.duration().as_secs_f64()
            )),
        }
    }

    /// Waits for the time, when all is ready for it.
    ///
    /// # Errors
    /// When it is past by now.
    pub(crate) async fn wait(&self) -> anyhow::Result<()> {
        let Some(start_at) = self.start_at else {
            return Ok(());
        };
        match start_at.duration_since(SystemTime::now()) {
            Ok(left) => sleep(left).await,
            Err(late) => bail!(
                "--start-at {}: all was ready only {:.1} s later; give it more time",
                humantime::format_rfc3339_millis(start_at),
                late.duration().as_secs_f64()
            ),
        }
        Ok(())
    }
}

fn time(text: &str) -> Result<SystemTime, String> {
    let seconds = text.parse().ok().and_then(|seconds| {
        let since = Duration::try_from_secs_f64(seconds).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(since)
    });
    let time = seconds.or_else(|| humantime::parse_rfc3339(text).ok());
    time.ok_or_else(|| "write it as 2026-01-31T12:00:00Z or 1769860800".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_rfc_3339_or_seconds() {
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_860_800);
        assert_eq!(time("2026-01-31T12:00:00Z"), Ok(noon));
        assert_eq!(time("1769860800"), Ok(noon));
        assert_eq!(time("1769860800.5"), Ok(noon + Duration::from_millis(500)));
        for bad in ["noon", "", "-1", "NaN", "1e99", "2026-01-31", "12:00"] {
            time(bad).unwrap_err();
        }
    }

    #[test]
    fn what_is_past_or_far_ahead_is_refused() {
        let why = |start_at| {
            let start_at = Some(start_at);
            StartArgs { start_at }.check().unwrap_err()
        };
        let now = SystemTime::now();
        assert!(why(now - Duration::from_secs(60)).contains("it is past, by 60"));
        assert!(why(now + Duration::from_secs(90_000)).contains("more than 24h ahead"));
        let soon = Some(now + Duration::from_secs(60));
        assert_eq!(StartArgs { start_at: soon }.check(), Ok(()));
    }

    #[tokio::test]
    async fn a_time_that_passed_meanwhile_is_an_error() {
        let start_at = Some(SystemTime::now() - Duration::from_secs(1));
        let error = StartArgs { start_at }.wait().await.unwrap_err();
        assert!(error.to_string().contains("give it more time"), "{error}");
        StartArgs::default().wait().await.unwrap();
    }
}
