//! Does the ring send queriers to the forwarder? Nothing else in a Tempo cluster looks: where the
//! ring advertises the upstream's port, they bypass it without a word.

mod entry;
mod fetch;
mod page;

use std::net::SocketAddr;

use self::{
    entry::Entry,
    page::{Page, Shard},
};
use super::{Finding, list, own::Own, upstream::covers};
use crate::config::{Config, RingUrl};

/// Entries of one host that are looked at: each may take a second.
const LOOKED_AT: usize = 8;

pub(super) async fn check(url: &RingUrl, own: &Own, config: &Config) -> Vec<Finding> {
    let (page, server) = match fetch::page(url).await {
        Ok(fetched) => fetched,
        Err(error) => return vec![Finding::error("ring", format_args!("{url}: {error}"))],
    };
    if page.shards.is_empty() {
        return vec![Finding::error(
            "ring",
            format_args!(
                "{url}: the ring is empty: no live-store has joined it; see whether they run and \
                 share a memberlist with this process"
            ),
        )];
    }
    let count = page.shards.len();
    let mut findings = vec![Finding::ok(
        "ring",
        format_args!("{url} serves the ring, entries: {count}"),
    )];
    let mine: Vec<_> = page
        .shards
        .iter()
        .filter(|shard| shard.socket_addr().is_some_and(|address| own.has(address)))
        .collect();
    match mine[..] {
        [] => findings.push(missing(&page, own)),
        [_] => {}
        _ => findings.push(several(&mine, config)),
    }
    let remote = !server.ip().to_canonical().is_loopback();
    for shard in mine.into_iter().take(LOOKED_AT) {
        let entry = Entry {
            shard,
            page: &page,
            config,
            remote,
        };
        findings.extend(entry.check().await);
    }
    findings
}

/// The ring has no entry of this host: another host's address under its name, or nothing.
fn missing(page: &Page, own: &Own) -> Finding {
    const ID: &str = "ring-entry";
    // A live-store joins under the name of its host, if it is not told another.
    let named = page.shards.iter().find(|shard| shard.id == own.name);
    if let Some(shard) = named {
        return Finding::error(
            ID,
            format_args!(
                "the entry {} has another host's address, {}, while this host has {own}: correct \
                 live_store.ring.instance_addr, or say with --instance-addr which address is right",
                shard.id, shard.address
            ),
        );
    }
    Finding::error(
        ID,
        format_args!(
            "no entry has an address of this host, {own}; there are {}: see whether the live-store \
             has joined, correct live_store.ring.instance_addr, or give --instance-addr",
            list(&page.shards)
        ),
    )
}

/// Two live-stores on one host are possible; one that was left behind under an old name is likelier.
fn several(mine: &[&Shard], config: &Config) -> Finding {
    let listens = |address: SocketAddr| {
        let mut listens = config.forwards.iter().map(|forward| &forward.listen);
        listens.any(|listen| covers(listen, address))
    };
    let ours = mine
        .iter()
        .filter(|shard| shard.socket_addr().is_some_and(listens))
        .count();
    Finding::warning(
        "ring-entry",
        format_args!(
            "{} entries are this host's, {ours} of them with a listen address: {}; if it runs one \
             live-store, forget the others on the ring's page",
            mine.len(),
            list(mine)
        ),
    )
}
