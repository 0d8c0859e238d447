//! The PROXY protocol, either way.

use std::fmt;

use clap::ValueEnum;
use ipnet::IpNet;

use super::show_choice;

/// The PROXY protocol, either way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// What the upstream is told of the client.
    pub send: SendProxy,
    /// The peers that must send a header; if not empty, all others are turned away.
    pub accept: Vec<IpNet>,
}

/// The header that an upstream gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SendProxy {
    /// None
    #[default]
    Off,
    /// A line of text
    V1,
    /// A binary block
    V2,
}

impl fmt::Display for SendProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_choice(self, f)
    }
}
