//! What one end saw of a connection, and whether it is what the script says.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::script::{Script, Side};
use super::stream::Origin;

/// What one end saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// The number of the connection.
    pub(crate) connection: u64,
    /// Bytes that came, all of them right up to the mismatch.
    pub(crate) received: u64,
    /// How the stream ended.
    pub(crate) end: End,
    /// The first wrong byte.
    pub(crate) mismatch: Option<WrongByte>,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    /// With FIN.
    Fin,
    /// With RST, or another error of the connection.
    Broken(String),
    /// By this end's own reset, which stops its reading.
    Own,
    /// Not within the time that a connection may take.
    Stalled,
}

/// A byte that is not the one that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WrongByte {
    /// The byte that was sent; `None` beyond the end of the stream.
    pub(crate) expected: Option<u8>,
    /// The byte that came.
    pub(crate) received: u8,
    /// Where the bytes from here on belong, as far as that shows.
    pub(crate) belongs: Option<Origin>,
}

/// What is wrong with a connection: the first thing that is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mismatch {
    /// The number of the connection.
    pub connection: u64,
    /// `to the client` or `to the upstream`.
    pub direction: String,
    /// Where in the stream, bytes from 0.
    pub offset: u64,
    /// What was to come there, and what came.
    pub what: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            connection,
            direction,
            offset,
            what,
        } = self;
        write!(
            f,
            "connection {connection}, {direction}, byte {offset}: {what}"
        )
    }
}

impl Verdict {
    /// What is wrong, when `side` of a connection with `script` saw this.
    pub(crate) fn mismatch(&self, script: &Script, side: Side) -> Option<Mismatch> {
        let sender = script.part(side.peer());
        let what = match (&self.mismatch, &self.end) {
            (Some(wrong), _) => wrong.to_string(),
            (None, End::Own) => return None,
            (None, End::Stalled) => format!("nothing more came of {} bytes", sender.bytes),
            // What was on its way may be lost with a reset, and what comes first is a race.
            (None, _) if sender.resets || script.part(side).resets => return None,
            (None, End::Fin) if self.received == sender.bytes => return None,
            (None, End::Fin) => format!(
                "FIN, but {} of {} bytes are missing",
                sender.bytes - self.received,
                sender.bytes
            ),
            (None, End::Broken(error)) => {
                format!("{error}, with {} of {} bytes", self.received, sender.bytes)
            }
        };
        Some(Mismatch {
            connection: self.connection,
            direction: side.receives().to_owned(),
            offset: self.received,
            what,
        })
    }

    /// Whether a reset by the peer came as an orderly end, so that a reader cannot tell that bytes
    /// are missing.
    pub(crate) fn is_reset_as_fin(&self, script: &Script, side: Side) -> bool {
        script.part(side.peer()).resets && self.end == End::Fin
    }
}

impl fmt::Display for WrongByte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.expected {
            Some(expected) => write!(f, "{:#04x} instead of {expected:#04x}", self.received)?,
            None => write!(f, "{:#04x} instead of the end", self.received)?,
        }
        let belongs = self.belongs.as_ref();
        belongs.map_or(Ok(()), |origin| {
            write!(f, "; what comes there belongs to {origin}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection of seed 1 that ends as it should, and one in which the upstream resets.
    fn scripts() -> [Script; 2] {
        let any = |wanted: fn(&Script) -> bool| {
            (0..)
                .map(|number| Script::new(1, number))
                .find(wanted)
                .unwrap()
        };
        [
            any(|script| {
                script.part(Side::Upstream).bytes > 10
                    && !script.part(Side::Client).resets
                    && !script.part(Side::Upstream).resets
            }),
            any(|script| script.part(Side::Upstream).resets),
        ]
    }

    #[test]
    fn bytes_that_are_missing_before_a_fin_are_a_mismatch() {
        let [whole, _] = scripts();
        let bytes = whole.part(Side::Upstream).bytes;
        let verdict = |received, end| Verdict {
            connection: 9,
            received,
            end,
            mismatch: None,
        };
        assert_eq!(
            verdict(bytes, End::Fin).mismatch(&whole, Side::Client),
            None
        );
        let short = verdict(bytes - 3, End::Fin)
            .mismatch(&whole, Side::Client)
            .unwrap();
        assert_eq!(
            (short.offset, short.direction.as_str()),
            (bytes - 3, "to the client")
        );
        assert!(short.what.starts_with("FIN, but 3 of"), "{short}");
        let broken = verdict(bytes, End::Broken("reset".to_owned()));
        broken.mismatch(&whole, Side::Client).unwrap();
        verdict(1, End::Stalled)
            .mismatch(&whole, Side::Client)
            .unwrap();
    }

    #[test]
    fn a_planned_reset_may_lose_bytes_but_not_change_them() {
        let [_, resetting] = scripts();
        let mut verdict = Verdict {
            connection: 9,
            received: 0,
            end: End::Broken("reset".to_owned()),
            mismatch: None,
        };
        assert_eq!(verdict.mismatch(&resetting, Side::Client), None);
        assert!(!verdict.is_reset_as_fin(&resetting, Side::Client));
        verdict.end = End::Fin;
        assert!(verdict.is_reset_as_fin(&resetting, Side::Client));
        verdict.mismatch = Some(WrongByte {
            expected: Some(1),
            received: 2,
            belongs: None,
        });
        let mismatch = verdict.mismatch(&resetting, Side::Client).unwrap();
        assert_eq!(mismatch.what, "0x02 instead of 0x01");
    }
}
