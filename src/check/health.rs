//! Asks a server for its health, as grpc-go's clients do: HTTP/2 with prior knowledge, then the
//! unary call `grpc.health.v1.Health/Check`.
//!
//! The call is made by hand. A message of gRPC is a byte (compressed or not), four bytes of length
//! and a protobuf (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>); the request
//! for the server as a whole is an empty one, the answer an enum in field 1
//! (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>). A gRPC library would double
//! the binary for these few bytes.

use std::time::Duration;

use h2::client::SendRequest;
use hyper::{
    HeaderMap, Method, Request, StatusCode, Uri,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderValue, TE},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
    time::timeout,
};

use super::Finding;

/// What can be asked.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// Tempo's queriers wait a second for this answer.
const BOUND: Duration = Duration::from_secs(2);

/// Asks over a connection that stands, bounded in time and size.
pub(super) async fn ask(stream: impl Stream) -> Answer {
    match timeout(BOUND, exchange(stream)).await {
        Err(_) => Answer::Silent,
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) if error.is_remote() => Answer::Ended(error),
        Ok(Err(_)) => Answer::NotHttp2,
    }
}

/// What a server said.
#[derive(Debug)]
pub(super) enum Answer {
    /// It broke the protocol, or the connection.
    NotHttp2,
    Silent,
    /// It speaks HTTP/2, and ended the call or the connection.
    Ended(h2::Error),
    /// It speaks HTTP/2, and is no gRPC server.
    NotGrpc(StatusCode),
    /// A gRPC status other than OK.
    Status {
        code: u32,
        message: String,
    },
    /// A `ServingStatus`; `None`: a message that is none.
    Serving(Option<u64>),
}

impl Answer {
    pub(super) fn finding(&self, upstream: impl std::fmt::Display) -> Finding {
        const ID: &str = "upstream-health";
        let of = |what: &str| format!("{upstream} {what}");
        match self {
            Self::NotHttp2 => Finding::ok(
                ID,
                of("does not speak HTTP/2 with prior knowledge, and need not"),
            ),
            Self::Silent => Finding::warning(
                ID,
                of(&format!(
                    "accepts connections, yet says nothing to an HTTP/2 client within {BOUND:?}: \
                     see whether it hangs, unless it speaks another protocol"
                )),
            ),
            Self::Ended(error) => Finding::warning(
                ID,
                of(&format!(
                    "speaks HTTP/2, yet ends the health check ({error}): see its log"
                )),
            ),
            Self::NotGrpc(status) => Finding::ok(
                ID,
                of(&format!(
                    "speaks HTTP/2 and not gRPC (status {})",
                    status.as_u16()
                )),
            ),
            Self::Status {
                code: UNIMPLEMENTED,
                ..
            } => Finding::ok(
                ID,
                of("speaks gRPC, without grpc.health.v1 (UNIMPLEMENTED)"),
            ),
            Self::Status { code, message } => Finding::warning(
                ID,
                of(&format!(
                    "answers grpc.health.v1 with status {code} ({message}): see its log"
                )),
            ),
            Self::Serving(Some(SERVING)) => {
                Finding::ok(ID, of("speaks gRPC, grpc.health.v1 says SERVING"))
            }
            Self::Serving(Some(NOT_SERVING)) => Finding::warning(
                ID,
                of("speaks gRPC, grpc.health.v1 says NOT_SERVING: it starts, stops, or is unwell"),
            ),
            Self::Serving(status) => {
                let status =
                    status.map_or("no status".to_owned(), |status| format!("status {status}"));
                Finding::warning(
                    ID,
                    of(&format!(
                        "speaks gRPC, grpc.health.v1 says {status} instead of SERVING: see its log"
                    )),
                )
            }
        }
    }
}

async fn exchange(stream: impl Stream) -> Result<Answer, h2::Error> {
    let (sender, connection) = h2::client::handshake(stream).await?;
    let mut driver = JoinSet::new(); // ends with this call
    driver.spawn(async move { drop(connection.await) });
    call(sender).await
}

async fn call(sender: SendRequest<Bytes>) -> Result<Answer, h2::Error> {
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("http://localhost/grpc.health.v1.Health/Check");
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    let (response, mut body) = sender.ready().await?.send_request(request, false)?;
    body.send_data(Bytes::from_static(&EMPTY_MESSAGE), true)?;

    let response = response.await?;
    let content_type = response.headers().get(CONTENT_TYPE);
    if !content_type.is_some_and(|value| value.as_bytes().starts_with(GRPC.as_bytes())) {
        return Ok(Answer::NotGrpc(response.status()));
    }
    // A call that fails at once has its status in the headers, and no body.
    if let Some(failed) = status(response.headers()) {
        return Ok(failed);
    }
    let mut body = response.into_body();
    let mut message = Vec::new();
    while let Some(chunk) = body.data().await {
        message.extend(chunk?);
        if message.len() > LONGEST_MESSAGE {
            return Ok(Answer::Serving(None));
        }
    }
    let failed = body.trailers().await?.as_ref().and_then(status);
    Ok(failed.unwrap_or_else(|| Answer::Serving(serving_status(&message))))
}

/// The status of a call that failed.
fn status(headers: &HeaderMap) -> Option<Answer> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let code = text("grpc-status")?.parse().ok()?;
    let message = text("grpc-message").unwrap_or("without a message");
    (code != 0).then(|| Answer::Status {
        code,
        message: message.chars().take(LONGEST_TEXT).collect(),
    })
}

/// Reads a message that holds one enum of a single byte in field 1, or nothing, which stands for
/// zero (UNKNOWN).
fn serving_status(message: &[u8]) -> Option<u64> {
    match message {
        [0, 0, 0, 0, 0] => Some(0),
        [0, 0, 0, 0, 2, 0x08, status @ ..0x80] => Some((*status).into()),
        _ => None,
    }
}

const GRPC: &str = "application/grpc";
/// Not compressed, no bytes.
const EMPTY_MESSAGE: [u8; 5] = [0; 5];
const LONGEST_MESSAGE: usize = 1024; // bytes; a health answer has 7
const LONGEST_TEXT: usize = 200; // characters of what others say
const UNIMPLEMENTED: u32 = 12;
const SERVING: u64 = 1;
const NOT_SERVING: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_from_its_message() {
        for (message, status) in [
            (&[0, 0, 0, 0, 2, 8, 1][..], Some(SERVING)),
            (&[0, 0, 0, 0, 2, 8, 2], Some(NOT_SERVING)),
            (&[0, 0, 0, 0, 0], Some(0)),
            (&[], None),
            (&[1, 0, 0, 0, 2, 8, 1], None),
            (&[0, 0, 0, 0, 2, 8], None),
            (&[0, 0, 0, 0, 2, 16, 1], None),
        ] {
            assert_eq!(serving_status(message), status, "{message:?}");
        }
    }
}
