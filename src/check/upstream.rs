//! Does the upstream answer, and is it the one that is meant?

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::io::AsyncWriteExt as _;

use super::{Finding, all, dial, health, listen::tcp_port};
use crate::{
    config::{Config, ListenAddr, OwnAddresses, UpstreamAddr, clash::accepts},
    edge::proxy_protocol,
};

pub(super) async fn check(config: &Config) -> Vec<Finding> {
    let mut upstreams: Vec<UpstreamAddr> = Vec::new();
    for forward in &config.forwards {
        if !upstreams.contains(&forward.upstream) {
            upstreams.push(forward.upstream.clone());
        }
    }
    let listens: Vec<_> = config
        .forwards
        .iter()
        .map(|forward| forward.listen.clone())
        .collect();
    let bounds = (config.timeouts.resolve, config.timeouts.connect);
    let header = proxy_protocol::own(config.proxy_protocol.send);
    let findings = all(upstreams
        .into_iter()
        .map(|upstream| probe(upstream, header.clone(), listens.clone(), bounds)));
    findings.await.into_iter().flatten().collect()
}

async fn probe(
    upstream: UpstreamAddr,
    header: Vec<u8>,
    listens: Vec<ListenAddr>,
    (patience, bound): (Duration, Duration),
) -> Vec<Finding> {
    let started = Instant::now();
    let addresses = match &upstream {
        UpstreamAddr::Unix(path) => {
            return match dial::unix(path, bound).await {
                Ok(stream) => greet(&upstream, "", started.elapsed(), &header, stream).await,
                Err(failure) => vec![unreached(&upstream, &failure.to_string())],
            };
        }
        UpstreamAddr::Ip(address) => vec![*address],
        UpstreamAddr::Name { host, port } => match dial::resolve(host, *port, patience).await {
            Ok(addresses) => addresses,
            Err(failure) => return vec![unreached(&upstream, &failure.to_string())],
        },
    };
    if let Some((listen, address)) = way_back(&addresses, &listens) {
        return vec![Finding::error(
            CONNECT,
            format_args!(
                "{upstream} leads back to the forwarder itself, as {address} is an address of this \
                 host and {listen} listens on it: give the address of the server behind it"
            ),
        )];
    }
    let (reached, failed) = dial::first(&addresses, bound).await;
    let failed: Vec<_> = failed
        .iter()
        .map(|(address, failure)| match upstream {
            UpstreamAddr::Ip(_) => failure.to_string(),
            _ => format!("{address}: {failure}"),
        })
        .collect();
    match reached {
        None => vec![unreached(&upstream, &failed.join(", "))],
        Some((address, stream)) => {
            let mut findings = Vec::new();
            if !failed.is_empty() {
                findings.push(Finding::warning(
                    CONNECT,
                    format_args!(
                        "{upstream} resolves to addresses that do not answer, which a connect may \
                         try before {address} ({}): give an address instead of the name",
                        failed.join(", ")
                    ),
                ));
            }
            let at = match upstream {
                UpstreamAddr::Name { .. } => format!(" at {address}"),
                _ => String::new(),
            };
            findings.extend(greet(&upstream, &at, started.elapsed(), &header, stream).await);
            findings
        }
    }
}

/// What a connection that stands is worth.
async fn greet(
    upstream: &UpstreamAddr,
    at: &str,
    took: Duration,
    header: &[u8],
    mut stream: impl health::Stream,
) -> Vec<Finding> {
    // What an upstream demands where --proxy-protocol is given. If it can't be sent, the question
    // that follows can't either, which says so.
    stream.write_all(header).await.ok();
    let connected = Finding::ok(
        CONNECT,
        format_args!("{upstream} answers{at} in {} us", took.as_micros()),
    );
    vec![connected, health::ask(stream).await.finding(upstream)]
}

fn unreached(upstream: &UpstreamAddr, why: &str) -> Finding {
    Finding::error(
        CONNECT,
        format_args!(
            "{upstream} cannot be reached: {why}; start the server, or correct --upstream"
        ),
    )
}

/// A listener of ours that a connection to one of `addresses` would arrive at. When the flags were
/// looked at, names were not resolved.
fn way_back<'a>(
    addresses: &[SocketAddr],
    listens: &'a [ListenAddr],
) -> Option<(&'a ListenAddr, SocketAddr)> {
    let own = OwnAddresses::OfInterfaces;
    addresses.iter().find_map(|address| {
        let mut listens = listens.iter();
        let listen = listens.find(|listen| accepts(listen, *address, &own))?;
        Some((listen, *address))
    })
}

/// Whether a listener takes connections to an address of its host.
pub(super) fn covers(listen: &ListenAddr, address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    let same_ip = match listen {
        ListenAddr::Unix(_) => false,
        ListenAddr::DualStack(_) => true,
        ListenAddr::Ip(own) if own.ip().is_unspecified() => own.is_ipv4() == ip.is_ipv4(),
        ListenAddr::Ip(own) => own.ip() == ip,
    };
    same_ip && tcp_port(listen) == Some(address.port())
}

const CONNECT: &str = "upstream";
