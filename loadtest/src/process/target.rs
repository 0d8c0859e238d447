//! What is measured: a backend, reached directly or through a proxy.

use super::portamento;
use super::proxy::Proxy;
use super::usage::Usage;
use crate::cli::{ProxyCommand, TargetArgs};

/// A way to a backend that can be taken.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// The backend itself.
    Direct,
    /// A proxy that runs already.
    Via {
        /// As reports name it.
        name: String,
        /// Where it listens.
        addr: String,
    },
    /// A proxy to be started.
    Proxy(ProxyCommand),
}

impl Target {
    /// The proxies that the flags name, without the direct way: portamento, found or built, when
    /// there is none.
    ///
    /// # Errors
    /// When portamento cannot be found.
    pub(crate) fn proxies(args: &TargetArgs) -> anyhow::Result<Vec<Self>> {
        if !args.via.is_empty() {
            let vias = args.via_names().into_iter().zip(&args.via);
            let vias = vias.map(|(name, via)| Self::Via {
                name,
                addr: via.addr.clone(),
            });
            return Ok(vias.collect());
        }
        if args.proxies.is_empty() {
            let binary = portamento::find(args.portamento.as_deref())?;
            return Ok(vec![Self::Proxy(ProxyCommand::portamento(&binary))]);
        }
        Ok(args.proxies.iter().cloned().map(Self::Proxy).collect())
    }

    /// As reports name it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Direct => "direct",
            Self::Via { name, .. } => name,
            Self::Proxy(proxy) => &proxy.name,
        }
    }

    /// Makes the way usable: starts the proxy, if there is one to start, in front of `backend`.
    ///
    /// # Errors
    /// When the proxy does not start.
    pub(crate) fn open(&self, backend: &str) -> anyhow::Result<Route> {
        let (addr, proxy) = match self {
            Self::Direct => (backend.to_owned(), None),
            Self::Via { addr, .. } => (addr.clone(), None),
            Self::Proxy(command) => {
                let proxy = Proxy::start(command, backend)?;
                (proxy.addr.to_string(), Some(proxy))
            }
        };
        Ok(Route {
            name: self.name().to_owned(),
            addr,
            is_direct: matches!(self, Self::Direct),
            proxy,
        })
    }
}

/// A target in use.
#[derive(Debug)]
pub(crate) struct Route {
    /// As reports name it.
    pub(crate) name: String,
    /// Where to connect to.
    pub(crate) addr: String,
    /// Whether there is no proxy.
    pub(crate) is_direct: bool,
    /// The proxy, when this run started it.
    pub(crate) proxy: Option<Proxy>,
}

impl Route {
    /// What the proxy has used so far, when this run started it.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn usage(&self) -> anyhow::Result<Option<Usage>> {
        self.proxy.as_ref().map(Proxy::usage).transpose()
    }

    /// Fails when the proxy has ended.
    ///
    /// # Errors
    /// How it ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        self.proxy.as_mut().map_or(Ok(()), Proxy::check)
    }
}
