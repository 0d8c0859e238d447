//! What is served where.

use std::{convert::Infallible, sync::Arc};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};

use super::{catalogue::ENDPOINTS, connections, exposition::Exposition, health::Health};
use crate::{account::metrics::Metrics, config::Config, edge::dial::Dialer, path::listener::Gate};

/// What the endpoint can tell.
pub(crate) struct Admin {
    gate: Arc<Gate>,
    health: Health,
    exposition: Exposition,
}

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
/// The text format of Prometheus, which its parsers take without being asked for another.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Admin {
    pub(crate) fn new(
        gate: Arc<Gate>,
        config: Arc<Config>,
        metrics: Metrics,
        dialer: Dialer,
    ) -> Self {
        Self {
            health: Health::new(Arc::clone(&gate), config, metrics.clone(), dialer),
            exposition: Exposition::new(metrics),
            gate,
        }
    }

    /// Answers a request; its body, if any, is not read.
    ///
    /// # Errors
    /// None.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, allowed);
            return Ok(response);
        }
        Ok(match request.uri().path() {
            "/" => response(StatusCode::OK, HTML, index()),
            "/metrics" => response(StatusCode::OK, METRICS, self.exposition.text()),
            "/ready" => verdict(self.health.ready().await),
            "/live" => verdict(self.health.live()),
            "/connections" => self.connections(request.uri().query()).await,
            _ => text(
                StatusCode::NOT_FOUND,
                format!("there is {}\n", ENDPOINTS.map(|(path, _)| path).join(", ")),
            ),
        })
    }

    async fn connections(&self, query: Option<&str>) -> Response<Full<Bytes>> {
        let query = match connections::Query::parse(query.unwrap_or("")) {
            Ok(query) => query,
            Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        };
        let page = connections::page(&self.gate, query).await;
        match serde_json::to_string(&page) {
            Ok(json) => response(StatusCode::OK, JSON, json + "\n"),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }
}

fn index() -> String {
    let mut page = "<!doctype html><title>portamento</title><h1>portamento</h1><ul>".to_owned();
    for (path, help) in ENDPOINTS {
        let help = help.replace('&', "&amp;");
        page += &format!("<li><a href={path}>{path}</a> {help}");
    }
    page + "</ul>\n"
}

/// 200, or 503 with the reason.
fn verdict(health: Result<(), String>) -> Response<Full<Bytes>> {
    match health {
        Ok(()) => text(StatusCode::OK, "ok\n"),
        Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, reason + "\n"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    response(status, TEXT, body)
}

fn response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
