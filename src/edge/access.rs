//! Who may connect.

use ipnet::IpNet;

use crate::{account::live::ClientPeer, config::AccessRules};

impl AccessRules {
    /// Whether a client may connect: not denied, and allowed where anything is. An IPv4 client on a
    /// dual-stack listener counts by its IPv4 address. Clients of unix sockets are the file
    /// system's to keep out.
    pub(crate) fn admits(&self, client: ClientPeer) -> bool {
        client == ClientPeer::Unix
            || !listed(&self.deny, client) && (self.allow.is_empty() || listed(&self.allow, client))
    }
}

/// Whether a peer is in one of these networks; one of a unix socket is in none.
pub(crate) fn listed(nets: &[IpNet], peer: ClientPeer) -> bool {
    let ClientPeer::Ip(addr) = peer else {
        return false;
    };
    let ip = addr.ip().to_canonical();
    nets.iter().any(|net| net.contains(&ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(allow: &[&str], deny: &[&str], client: &str) -> bool {
        let nets = |list: &[&str]| list.iter().map(|net| net.parse().unwrap()).collect();
        let rules = AccessRules {
            allow: nets(allow),
            deny: nets(deny),
        };
        rules.admits(ClientPeer::Ip(client.parse().unwrap()))
    }

    #[test]
    fn without_rules_everybody_may_connect() {
        assert!(admits(&[], &[], "192.0.2.1:1"));
    }

    #[test]
    fn an_allow_list_keeps_all_others_out() {
        assert!(admits(&["192.0.2.0/24"], &[], "192.0.2.1:1"));
        assert!(!admits(&["192.0.2.0/24"], &[], "198.51.100.1:1"));
        assert!(!admits(&["192.0.2.0/24"], &[], "[2001:db8::1]:1"));
    }

    #[test]
    fn a_denied_client_is_out_even_where_it_is_allowed() {
        assert!(!admits(&["192.0.2.0/24"], &["192.0.2.1/32"], "192.0.2.1:1"));
    }

    #[test]
    fn a_mapped_address_counts_as_ipv4() {
        assert!(admits(&["192.0.2.0/24"], &[], "[::ffff:192.0.2.1]:1"));
        assert!(!admits(&[], &["192.0.2.0/24"], "[::ffff:192.0.2.1]:1"));
    }
}
