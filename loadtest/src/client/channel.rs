//! A tonic channel that adds what a querier adds to each call.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response};
use tonic::body::Body;
use tonic::transport::{Channel, Error};
use tower_service::Service;

use super::LARGEST_ANSWER;
use crate::snappy::body::{Recode, RecodedBody};
use crate::snappy::layer::names_snappy;
use crate::snappy::{ACCEPT_ENCODING, ENCODING, SNAPPY};

/// A connection whose calls carry the tenant and are compressed with snappy where that was asked
/// for. Clones share the connection.
#[derive(Clone, Debug)]
pub struct QuerierChannel {
    inner: Channel,
    tenant: HeaderValue,
    snappy: bool,
}

impl QuerierChannel {
    pub(super) fn new(inner: Channel, tenant: HeaderValue, snappy: bool) -> Self {
        Self {
            inner,
            tenant,
            snappy,
        }
    }
}

impl Service<Request<Body>> for QuerierChannel {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let headers = request.headers_mut();
        headers.insert("x-scope-orgid", self.tenant.clone());
        if self.snappy {
            headers.insert(ENCODING, SNAPPY);
            headers.insert(ACCEPT_ENCODING, SNAPPY);
            request = request.map(|body| Body::new(RecodedBody::new(body, Recode::Encode)));
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            if names_snappy(response.headers(), &ENCODING) {
                response.headers_mut().remove(ENCODING); // tonic refuses a name it does not know
                let decode = Recode::Decode {
                    limit: LARGEST_ANSWER,
                };
                response = response.map(|body| Body::new(RecodedBody::new(body, decode)));
            }
            Ok(response)
        })
    }
}
