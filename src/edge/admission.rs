//! Who is let in, once it is known who the client is: at once, or from its PROXY header.

use std::sync::Arc;

use super::sources::{SourceSlot, Sources};
use crate::{
    account::{live::ClientPeer, outcome::Reason, rejection::Rejection},
    config::{AccessRules, Config},
};

/// What a client has to pass.
pub(crate) struct Admission {
    rules: AccessRules,
    /// Absent without `--max-connections-per-source`.
    sources: Option<Arc<Sources>>,
}

/// What a client that was let in holds for as long as it stays; boxed, since it is rare.
pub(crate) type Admitted = Option<Box<SourceSlot>>;

/// Why a client is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `--allow` or `--deny`.
    Acl,
    /// `--max-connections-per-source`.
    SourceLimit,
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Acl => Self::Acl,
            Refusal::SourceLimit => Self::SourceLimit,
        }
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Acl => Self::Acl,
            Refusal::SourceLimit => Self::SourceLimit,
        }
    }
}

impl Admission {
    pub(crate) fn new(config: &Config) -> Self {
        let limit = config.max_connections_per_source;
        Self {
            rules: config.access.clone(),
            sources: limit.map(|limit| Arc::new(Sources::new(limit))),
        }
    }

    /// Lets a client in.
    ///
    /// # Errors
    /// `--allow` or `--deny` keeps it out, or its address has as many connections as it may. An
    /// IPv4 client on a dual-stack listener counts by its IPv4 address; clients of unix sockets are
    /// not limited.
    pub(crate) fn admit(&self, client: ClientPeer) -> Result<Admitted, Refusal> {
        if !self.rules.admits(client) {
            return Err(Refusal::Acl);
        }
        match (&self.sources, client) {
            (Some(sources), ClientPeer::Ip(addr)) => {
                let slot = sources.enter(addr.ip().to_canonical());
                slot.map(|slot| Some(Box::new(slot)))
                    .ok_or(Refusal::SourceLimit)
            }
            (None, _) | (_, ClientPeer::Unix) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::config::defaults;

    fn admission(limit: usize) -> Admission {
        let mut config = Config::for_pair(defaults::LISTEN, defaults::UPSTREAM);
        config.max_connections_per_source = NonZeroUsize::new(limit);
        config.access.deny = vec!["198.51.100.0/24".parse().unwrap()];
        Admission::new(&config)
    }

    fn client(addr: &str) -> ClientPeer {
        ClientPeer::Ip(addr.parse().unwrap())
    }

    #[test]
    fn a_mapped_address_and_its_ipv4_form_are_one_source() {
        let admission = admission(1);
        let slot = admission.admit(client("192.0.2.1:1")).unwrap();
        let again = admission.admit(client("[::ffff:192.0.2.1]:2"));
        assert_eq!(again.err(), Some(Refusal::SourceLimit));
        drop(slot);
        assert!(admission.admit(client("[::ffff:192.0.2.1]:2")).is_ok());
    }

    #[test]
    fn a_denied_client_takes_no_place() {
        let admission = admission(1);
        for _ in 0..3 {
            let denied = admission.admit(client("198.51.100.1:1"));
            assert_eq!(denied.err(), Some(Refusal::Acl));
        }
    }

    #[test]
    fn unix_clients_are_not_limited() {
        let admission = admission(1);
        let slots = [(); 3].map(|()| admission.admit(ClientPeer::Unix));
        assert!(slots.iter().all(Result::is_ok));
    }
}
