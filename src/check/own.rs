//! The addresses and the name of this host.

use std::{
    env, fmt, io,
    net::{IpAddr, SocketAddr},
};

use super::{CheckError, list};

/// Which addresses are this host's, and who says so.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) source: Source,
    /// The host's name; a pod's is that of the pod.
    pub(super) name: String,
}

/// Who says which addresses are this host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Flag,
    PodIp,
    Interfaces,
}

impl Own {
    /// Takes `given`, else `POD_IP`, else the addresses of all interfaces.
    ///
    /// # Errors
    /// `POD_IP` is no address, or the interfaces can't be listed.
    pub(super) fn find(given: Vec<IpAddr>) -> Result<Self, CheckError> {
        let (addresses, source) = if !given.is_empty() {
            (given, Source::Flag)
        } else if let Some(value) = env::var_os(POD_IP).filter(|value| !value.is_empty()) {
            let value = value.to_string_lossy().into_owned();
            match value.parse() {
                Ok(ip) => (vec![ip], Source::PodIp),
                Err(_) => return Err(CheckError::PodIp(value)),
            }
        } else {
            let addresses = interfaces().map_err(CheckError::Start)?;
            (addresses, Source::Interfaces)
        };
        let name = rustix::system::uname();
        Ok(Self {
            addresses: addresses.iter().map(IpAddr::to_canonical).collect(),
            source,
            name: name.nodename().to_string_lossy().into_owned(),
        })
    }

    /// Whether an address is this host's.
    pub(super) fn has(&self, address: SocketAddr) -> bool {
        self.addresses.contains(&address.ip().to_canonical())
    }
}

/// Shown as `10.0.0.5 (POD_IP)`.
impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Flag => "--instance-addr",
            Source::PodIp => "POD_IP",
            Source::Interfaces => "its interfaces",
        };
        write!(f, "{} ({source})", list(&self.addresses))
    }
}

/// The addresses of all interfaces that are there, loopback included.
fn interfaces() -> io::Result<Vec<IpAddr>> {
    let interfaces = if_addrs::get_if_addrs()?;
    Ok(interfaces.iter().map(if_addrs::Interface::ip).collect())
}

/// What a pod's own address is commonly passed on in (downward API, `status.podIP`).
const POD_IP: &str = "POD_IP";
