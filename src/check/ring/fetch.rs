//! Fetches the page of a ring, bounded in time and size.

use std::{net::SocketAddr, time::Duration};

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{ACCEPT, CONTENT_TYPE, HOST, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::page::Page;
use crate::{check::dial, config::RingUrl};

const BOUND: Duration = Duration::from_secs(5);
const LARGEST_PAGE: usize = 4 * 1024 * 1024; // bytes: some ten thousand entries
const LONGEST_TEXT: usize = 200; // characters of what others say

/// Why there is no ring to look at.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    #[error("{0}; give the HTTP port of a live-store, distributor or querier that runs")]
    Unreached(dial::Failure),
    #[error("no whole answer within {BOUND:?}; see whether the process hangs")]
    TimedOut,
    #[error("this URL cannot be asked for ({0})")]
    Url(hyper::http::Error),
    #[error("no answer in HTTP ({0}); give the HTTP port, not that of gRPC")]
    Http(hyper::Error),
    #[error(
        "page not found: the query-frontend does not serve it; give a live-store, distributor or \
         querier"
    )]
    NotFound,
    #[error("leads elsewhere (status {status}, {location}); give that URL")]
    Redirect { status: u16, location: String },
    #[error("answers with status {0} instead of the ring; see its log")]
    Status(u16),
    #[error("the page exceeds {} MiB; this is no ring", LARGEST_PAGE >> 20)]
    TooLarge,
    #[error("the answer broke off ({0})")]
    Broken(Box<dyn std::error::Error + Send + Sync>),
    #[error(
        "an HTML page instead of JSON: something on the way drops the Accept header, or this is \
         not Tempo; give the HTTP port of a live-store, distributor or querier"
    )]
    Html,
    #[error(
        "not JSON ({0}), so this is not the ring of a Tempo; give the HTTP port of a live-store, \
         distributor or querier"
    )]
    NotJson(serde_json::Error),
    #[error("JSON, yet not of a ring ({0}); give the URL of Tempo's /live-store/ring")]
    NotARing(serde_json::Error),
}

/// The page, and the address that served it.
pub(super) async fn page(url: &RingUrl) -> Result<(Page, SocketAddr), FetchError> {
    match timeout(BOUND, fetch(url)).await {
        Ok(result) => result,
        Err(_) => Err(FetchError::TimedOut),
    }
}

async fn fetch(url: &RingUrl) -> Result<(Page, SocketAddr), FetchError> {
    let addresses = dial::resolve(url.host(), url.port(), BOUND).await;
    let addresses = addresses.map_err(FetchError::Unreached)?;
    let (server, stream) = match dial::first(&addresses, BOUND).await {
        (Some(reached), _) => reached,
        (None, mut failed) => match failed.pop() {
            Some((_, failure)) => return Err(FetchError::Unreached(failure)),
            None => return Err(FetchError::TimedOut), // there is at least one address
        },
    };
    Ok((read(url, stream).await?, server))
}

async fn read(url: &RingUrl, stream: TcpStream) -> Result<Page, FetchError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(FetchError::Http)?;
    let mut driver = JoinSet::new(); // ends with this call
    driver.spawn(async move { drop(connection.await) });
    let request = Request::get(url.path())
        .header(HOST, url.authority())
        .header(ACCEPT, "application/json")
        .header(
            USER_AGENT,
            concat!("portamento/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::<Bytes>::new())
        .map_err(FetchError::Url)?;
    let response = sender
        .send_request(request)
        .await
        .map_err(FetchError::Http)?;
    let (head, body) = response.into_parts();
    match head.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Err(FetchError::NotFound),
        status if status.is_redirection() => {
            let location = head.headers.get(LOCATION);
            let location = location.and_then(|value| value.to_str().ok());
            return Err(FetchError::Redirect {
                status: status.as_u16(),
                location: location
                    .unwrap_or("nowhere")
                    .chars()
                    .take(LONGEST_TEXT)
                    .collect(),
            });
        }
        status => return Err(FetchError::Status(status.as_u16())),
    }
    let body = match Limited::new(body, LARGEST_PAGE).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(FetchError::TooLarge),
        Err(error) => return Err(FetchError::Broken(error)),
    };
    let is_html = head.headers.get(CONTENT_TYPE).is_some_and(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.starts_with("text/html"))
    });
    if is_html || body.trim_ascii_start().starts_with(b"<") {
        return Err(FetchError::Html);
    }
    serde_json::from_slice(&body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => FetchError::NotARing(error),
        _ => FetchError::NotJson(error),
    })
}
