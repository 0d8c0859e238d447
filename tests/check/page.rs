use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use loadtest::{StandIn, StandInConfig};
use serde_json::json;

use super::{
    Found,
    ring::{Pair, active, rfc3339, serve},
    server::{Http, response},
    support::{Echo, Nobody},
};

#[test]
fn an_empty_ring_says_so() {
    let pair = Pair::new();
    for shards in [json!([]), json!(null)] {
        pair.check(&serve(shards), &[])
            .has("ring", "error", &["the ring is empty"]);
    }
}

#[test]
fn what_is_no_ring_page_is_said_for_what_it_is() {
    let pair = Pair::new();
    for (status, kind, body, words) in [
        (
            404,
            "text/plain",
            "404 page not found\n",
            "the query-frontend does not serve it",
        ),
        (
            200,
            "text/html; charset=utf-8",
            "<html></html>",
            "an HTML page instead of JSON",
        ),
        (
            200,
            "text/plain",
            "\n <!DOCTYPE html>",
            "an HTML page instead of JSON",
        ),
        (200, "text/plain", "hello", "not JSON"),
        (200, "application/json", "", "not JSON"),
        (200, "application/json", "{\"shards\":[", "not JSON"),
        (
            200,
            "application/json",
            "{\"status\":\"success\"}",
            "JSON, yet not of a ring",
        ),
        (
            200,
            "application/json",
            "{\"shards\":[{\"id\":1}]}",
            "JSON, yet not of a ring",
        ),
        (503, "text/plain", "", "status 503"),
        (401, "text/plain", "", "status 401"),
    ] {
        let server = Http::start("127.0.0.1", move |_| response(status, kind, body));
        pair.check(&server, &[])
            .has("ring", "error", &[&server.url(), words]);
    }
    let moved = Http::start("127.0.0.1", |_| {
        let mut moved = response(302, "text/plain", "");
        moved
            .headers_mut()
            .insert("Location", "/elsewhere".parse().unwrap());
        moved
    });
    pair.check(&moved, &[])
        .has("ring", "error", &["status 302, /elsewhere"]);
    let large = Http::start("127.0.0.1", |_| {
        response(200, "application/json", vec![b' '; 5 << 20])
    });
    pair.check(&large, &[])
        .has("ring", "error", &["exceeds 4 MiB"]);
}

#[test]
fn a_ring_that_can_not_be_reached_says_why() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap(); // the kernel accepts, nobody answers
    let grpc = StandIn::start(StandInConfig::default()).unwrap();
    let nobody = Nobody::new();
    let upstream = Echo::start();
    let at = |addr: SocketAddr| format!("http://{addr}");
    for (url, words) in [
        (at(nobody.addr()), "connection refused"),
        (
            at(silent.local_addr().unwrap()),
            "no whole answer within 5s",
        ),
        (
            at(grpc.local_addr()),
            "give the HTTP port, not that of gRPC",
        ),
        (
            "http://nonesuch.invalid:3200".to_owned(),
            "cannot be resolved",
        ),
    ] {
        let upstream = upstream.addr().to_string();
        let found = Found::by(&["-l", "127.0.0.1:0", "-u", &upstream, "--ring", &url]);
        found.has("ring", "error", &[&url, words]);
    }
}

#[test]
fn the_page_may_be_elsewhere() {
    let pair = Pair::new();
    let entry = active(pair.listen.addr());
    let page = json!({ "shards": [entry], "now": rfc3339(Duration::ZERO) }).to_string();
    let server = Http::start("127.0.0.1", move |request| {
        match request.uri().path_and_query().unwrap().as_str() {
            "/tempo/live-store/ring?x=y" => response(200, "application/json", page.clone()),
            _ => response(404, "text/plain", ""),
        }
    });
    let (listen, upstream) = (
        pair.listen.addr().to_string(),
        pair.upstream.addr().to_string(),
    );
    let url = server.url() + "/tempo/live-store/ring?x=y";
    Found::by(&["-l", &listen, "-u", &upstream, "--ring", &url]).has("ring", "ok", &["entries: 1"]);
}
