//! The page of a ring, as Tempo (dskit) serves it to those who accept JSON.

use std::{fmt, net::SocketAddr, time::Duration};

use serde::{Deserialize, Deserializer};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// What is needed of the page.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    /// Absent in what is no ring; null in an empty one.
    #[serde(deserialize_with = "null_is_empty")]
    pub(super) shards: Vec<Shard>,
    /// The server's clock.
    #[serde(default)]
    now: Option<String>,
}

/// One entry of the ring.
#[derive(Debug, Deserialize)]
pub(super) struct Shard {
    pub(super) id: String,
    pub(super) state: String,
    /// `IP:PORT`, as queriers dial it.
    pub(super) address: String,
    /// The last heartbeat.
    #[serde(default)]
    timestamp: Option<String>,
}

impl Page {
    /// How long ago an entry's heartbeat was, by the clock of whoever served the page. `None`: it
    /// does not say, or says that it is yet to come.
    pub(super) fn heartbeat_age(&self, shard: &Shard) -> Option<Duration> {
        let time = |text: &Option<String>| OffsetDateTime::parse(text.as_deref()?, &Rfc3339).ok();
        let now = time(&self.now).unwrap_or_else(OffsetDateTime::now_utc);
        (now - time(&shard.timestamp)?).try_into().ok()
    }
}

impl Shard {
    /// `None` for an address that is a name.
    pub(super) fn socket_addr(&self) -> Option<SocketAddr> {
        self.address.parse().ok()
    }
}

/// Shown as `live-store-0 at 10.0.0.5:12345 (ACTIVE)`, bounded in length.
impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id, address, state, ..
        } = self;
        write!(f, "{id:.64} at {address:.64} ({state:.16})")
    }
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Shard>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_as_old_as_the_servers_clock_says() {
        let page = |timestamp: &str, now: &str| -> Page {
            let json = format!(
                r#"{{"shards":[{{"id":"a","state":"ACTIVE","address":"[::1]:12345","timestamp":"{timestamp}","tokens":null}}],"now":"{now}"}}"#
            );
            serde_json::from_str(&json).unwrap()
        };
        for (timestamp, now, age) in [
            ("2026-08-21T10:00:00Z", "2026-08-21T10:00:05.5Z", Some(5500)),
            (
                "2026-08-21T10:00:00Z",
                "2026-08-21T12:01:00.123456789+02:00",
                Some(60_123),
            ),
            ("2026-08-21T10:00:01Z", "2026-08-21T10:00:00Z", None),
            ("yesterday", "2026-08-21T10:00:00Z", None),
        ] {
            let page = page(timestamp, now);
            let found = page.heartbeat_age(&page.shards[0]);
            assert_eq!(found.map(|age| age.as_millis()), age, "{timestamp} {now}");
            assert_eq!(page.shards[0].socket_addr(), "[::1]:12345".parse().ok());
        }
    }

    #[test]
    fn an_empty_ring_is_told_from_what_is_no_ring() {
        for json in [r#"{"shards":null,"now":"x"}"#, r#"{"shards":[]}"#] {
            assert!(
                serde_json::from_str::<Page>(json)
                    .unwrap()
                    .shards
                    .is_empty()
            );
        }
        for json in ["{}", "[]", r#"{"shards":[{}]}"#, "\"shards\""] {
            assert!(serde_json::from_str::<Page>(json).is_err(), "{json}");
        }
    }
}
