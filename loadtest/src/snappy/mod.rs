//! gRPC's `snappy` message encoding, as Tempo registers it: each message is a stream of its own in
//! snappy's *framing* format (not a bare block).
//!
//! tonic knows gzip, deflate and zstd and offers no place to add another, so the encoding is done
//! one level below it, on the bodies: [`body`] re-frames their messages, [`layer`] does so for a
//! server, [`crate::client`] for a client. tonic itself sees plain messages.

pub(crate) mod body;
pub(crate) mod layer;

use std::io::{self, Read, Write};

use http::HeaderValue;
use http::header::HeaderName;
use snap::{read::FrameDecoder, write::FrameEncoder};

/// The header that names the encoding of the messages in its own body.
pub(crate) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// The header that lists the encodings that the sender can read.
pub(crate) const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// The name under which Tempo registers the encoding.
pub(crate) const SNAPPY: HeaderValue = HeaderValue::from_static("snappy");

/// Appends the encoded form of `plain` to `encoded`. An empty message becomes an empty stream.
pub(crate) fn encode(plain: &[u8], encoded: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = FrameEncoder::new(encoded);
    encoder.write_all(plain)?;
    encoder.flush()
}

/// Appends what `encoded` holds to `plain`; `false` when that would be more than `limit` bytes.
///
/// # Errors
/// When `encoded` is not a whole, intact stream.
pub(crate) fn decode(encoded: &[u8], plain: &mut Vec<u8>, limit: usize) -> io::Result<bool> {
    let before = plain.len();
    let mut decoder = FrameDecoder::new(encoded).take(limit as u64 + 1);
    decoder.read_to_end(plain)?;
    Ok(plain.len() - before <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_comes_back() {
        for size in [0, 1, 1_000, 65_535, 65_536, 65_537, 1_000_000] {
            let plain: Vec<u8> = (0..size)
                .map(|i| u8::try_from(i % 7 * i % 251).unwrap())
                .collect();
            let (mut encoded, mut decoded) = (Vec::new(), b"before".to_vec());
            encode(&plain, &mut encoded).unwrap();
            assert!(decode(&encoded, &mut decoded, size).unwrap());
            assert_eq!(&decoded[6..], &plain[..], "{size} bytes");
        }
    }

    #[test]
    fn the_stream_starts_as_the_framing_format_says() {
        let mut encoded = Vec::new();
        encode(b"x", &mut encoded).unwrap();
        assert_eq!(&encoded[..10], b"\xff\x06\x00\x00sNaPpY");
    }

    #[test]
    fn a_byte_over_the_limit_is_noticed() {
        let mut encoded = Vec::new();
        encode(&[7; 5_000], &mut encoded).unwrap();
        assert!(!decode(&encoded, &mut Vec::new(), 4_999).unwrap());
    }

    #[test]
    fn a_flipped_byte_is_an_error() {
        let mut encoded = Vec::new();
        encode(b"a message", &mut encoded).unwrap();
        *encoded.last_mut().unwrap() ^= 1;
        decode(&encoded, &mut Vec::new(), 100).unwrap_err();
    }
}
