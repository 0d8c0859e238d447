//! An entry of this host: does it lead to the forwarder, and do queriers follow it?

use std::{net::SocketAddr, time::Duration};

use super::page::{Page, Shard};
use crate::{
    check::{Finding, dial, listen::tcp_port, upstream::covers},
    config::{Config, Forward, UpstreamAddr},
};

/// A heartbeat is due every few seconds.
const STALE: Duration = Duration::from_secs(60);

/// On this host a listener answers at once.
const BOUND: Duration = Duration::from_secs(1);

/// An entry, and what it is held against.
pub(super) struct Entry<'a> {
    pub(super) shard: &'a Shard,
    pub(super) page: &'a Page,
    pub(super) config: &'a Config,
    /// The page came from another host than the loopback's.
    pub(super) remote: bool,
}

impl Entry<'_> {
    pub(super) async fn check(&self) -> Vec<Finding> {
        let Some(address) = self.shard.socket_addr() else {
            return Vec::new(); // a name, which is nobody's address
        };
        let mut findings = vec![self.port(address).await, self.state()];
        findings.extend(self.heartbeat());
        if self.remote && address.ip().is_loopback() {
            findings.push(Finding::warning(
                "ring-address",
                format_args!(
                    "{} advertises {address}, which queriers on other hosts cannot reach: set \
                     live_store.ring.instance_addr to this host's address",
                    self.shard.id
                ),
            ));
        }
        findings
    }

    /// Whether the advertised port is the forwarder's.
    async fn port(&self, address: SocketAddr) -> Finding {
        const ID: &str = "ring-port";
        let id = &self.shard.id;
        let port = address.port();
        let forwards = &self.config.forwards;
        let answer = dial::tcp(address, BOUND).await;

        if forwards
            .iter()
            .any(|forward| covers(&forward.listen, address))
        {
            return match answer {
                Ok(_) => Finding::ok(
                    ID,
                    format_args!("{id} advertises {address}, the listen address, and it answers"),
                ),
                Err(dial::Failure::Refused) => Finding::warning(
                    ID,
                    format_args!(
                        "{id} advertises {address}, the listen address, as it should, yet nobody \
                         listens there: start portamento"
                    ),
                ),
                Err(failure) => Finding::warning(
                    ID,
                    format_args!(
                        "{id} advertises {address}, the listen address, as it should, yet it does \
                         not answer ({failure}): see firewall and network policy"
                    ),
                ),
            };
        }
        if let Some(forward) = forwards
            .iter()
            .find(|forward| tcp_port(&forward.listen) == Some(port))
        {
            return Finding::error(
                ID,
                format_args!(
                    "{id} advertises {address}, where --listen '{}' takes no connections: give \
                     --listen :{port}",
                    forward.listen
                ),
            );
        }
        if let Some(forward) = forwards
            .iter()
            .find(|forward| upstream_port(forward) == Some(port))
        {
            return Finding::error(
                ID,
                format_args!(
                    "{id} advertises {address}, the upstream's port, so that queriers bypass \
                     portamento: {}",
                    cure(Some(forward))
                ),
            );
        }
        let cure = cure(
            forwards
                .iter()
                .find(|forward| tcp_port(&forward.listen).is_some()),
        );
        match answer {
            Ok(_) => Finding::error(
                ID,
                format_args!(
                    "{id} advertises {address}, where something else than portamento listens: {cure}"
                ),
            ),
            Err(dial::Failure::Refused) => Finding::error(
                ID,
                format_args!("{id} advertises {address}, where nobody listens: {cure}"),
            ),
            Err(failure) => Finding::error(
                ID,
                format_args!(
                    "{id} advertises {address}, which does not answer ({failure}): {cure}"
                ),
            ),
        }
    }

    fn state(&self) -> Finding {
        const ID: &str = "ring-state";
        let Shard { id, state, .. } = self.shard;
        match state.as_str() {
            "ACTIVE" => Finding::ok(ID, format_args!("{id} is ACTIVE")),
            _ => Finding::error(
                ID,
                format_args!(
                    "{id} is {state:.32}, not ACTIVE, so that queriers leave it out: see whether \
                     the live-store starts, stops or hangs"
                ),
            ),
        }
    }

    fn heartbeat(&self) -> Option<Finding> {
        const ID: &str = "ring-heartbeat";
        let age = self.page.heartbeat_age(self.shard)?;
        let (id, secs) = (&self.shard.id, age.as_secs());
        Some(match age > STALE {
            false => Finding::ok(ID, format_args!("{id} was heard of {secs} s ago")),
            true => Finding::warning(
                ID,
                format_args!(
                    "{id} was last heard of {secs} s ago: see whether the live-store runs and \
                     shares a memberlist with the process that was asked"
                ),
            ),
        })
    }
}

fn upstream_port(forward: &Forward) -> Option<u16> {
    match &forward.upstream {
        UpstreamAddr::Ip(address) => Some(address.port()),
        UpstreamAddr::Name { port, .. } => Some(*port),
        UpstreamAddr::Unix(_) => None,
    }
}

/// What makes the ring lead to a forward.
fn cure(forward: Option<&Forward>) -> String {
    match forward.and_then(|forward| tcp_port(&forward.listen)) {
        Some(port) => format!("set live_store.ring.instance_port to {port}"),
        None => "give --listen a port, and set live_store.ring.instance_port to it".to_owned(),
    }
}
