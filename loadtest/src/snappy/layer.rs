//! The server's side: requests are decoded, and answers encoded for clients that can read them.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::body::{Recode, RecodedBody};
use super::{ACCEPT_ENCODING, ENCODING, SNAPPY};

/// Adds the `snappy` encoding to a tonic server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnappyLayer {
    /// Bytes allowed for one message of a request.
    pub(crate) limit: usize,
}

impl<S> Layer<S> for SnappyLayer {
    type Service = SnappyService<S>;

    fn layer(&self, inner: S) -> SnappyService<S> {
        SnappyService {
            inner,
            limit: self.limit,
        }
    }
}

/// `inner`, which sees plain messages only.
#[derive(Clone, Debug)]
pub(crate) struct SnappyService<S> {
    inner: S,
    limit: usize,
}

impl<S> Service<Request<Body>> for SnappyService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let sends = names_snappy(request.headers(), &ENCODING);
        let reads = sends || names_snappy(request.headers(), &ACCEPT_ENCODING);
        if sends {
            request.headers_mut().remove(ENCODING); // tonic refuses a name that it does not know
            let decode = Recode::Decode { limit: self.limit };
            request = request.map(|body| Body::new(RecodedBody::new(body, decode)));
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            // An answer without a body is an error and carries its status in the headers.
            if reads && !response.body().is_end_stream() {
                response.headers_mut().insert(ENCODING, SNAPPY);
                response = response.map(|body| Body::new(RecodedBody::new(body, Recode::Encode)));
            }
            Ok(response)
        })
    }
}

/// Whether the list in header `name` has `snappy` in it.
pub(crate) fn names_snappy(headers: &HeaderMap, name: &http::HeaderName) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|encoding| encoding.trim() == "snappy")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn snappy_is_found_in_a_list() {
        let mut headers = HeaderMap::new();
        for (value, expected) in [
            ("snappy", true),
            ("gzip, snappy,identity", true),
            ("gzip", false),
            ("snappy-block", false),
        ] {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(
                names_snappy(&headers, &ACCEPT_ENCODING),
                expected,
                "{value}"
            );
        }
        assert!(!names_snappy(&headers, &ENCODING));
    }
}
