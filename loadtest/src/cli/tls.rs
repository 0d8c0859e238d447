//! The flags that say how to speak TLS.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::client::ClientTls;
use crate::standin::TlsIdentity;

/// How to speak TLS to the backend, directly and through a proxy alike: a proxy passes it on.
#[derive(Args, Clone, Debug, Default)]
pub struct TlsArgs {
    /// Speak TLS to the backend given with --direct, and trust this certificate authority (PEM)
    #[arg(long, value_name = "PATH", requires = "direct")]
    pub tls_ca: Option<PathBuf>,

    /// The name that the backend's certificate must bear [default: the host of --direct, also
    /// where a proxy is dialled]
    #[arg(long, value_name = "NAME", requires = "tls_ca")]
    pub tls_server_name: Option<String>,

    /// The client's own certificate (PEM), for mutual TLS
    #[arg(long, value_name = "PATH", requires_all = ["tls_ca", "tls_key"])]
    pub tls_cert: Option<PathBuf>,

    /// The key of that certificate (PEM)
    #[arg(long, value_name = "PATH", requires_all = ["tls_ca", "tls_cert"])]
    pub tls_key: Option<PathBuf>,
}

impl TlsArgs {
    /// As reports name it.
    pub fn name(&self) -> &'static str {
        match (&self.tls_ca, &self.tls_cert) {
            (None, _) => "none",
            (Some(_), None) => "tls",
            (Some(_), Some(_)) => "mtls",
        }
    }

    /// Reads the files; `None` without TLS. `direct` is the backend's address.
    ///
    /// # Errors
    /// When a file cannot be read, or holds something else.
    pub(crate) fn read(&self, direct: &str) -> anyhow::Result<Option<ClientTls>> {
        let Some(ca) = &self.tls_ca else {
            return Ok(None);
        };
        let host = direct.rsplit_once(':').map_or(direct, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let identity = self.tls_cert.as_ref().zip(self.tls_key.as_ref());
        let identity = identity.map(|(certificate, key)| {
            anyhow::Ok(TlsIdentity {
                certificate: pem("--tls-cert", certificate, "CERTIFICATE-----")?,
                key: pem("--tls-key", key, "PRIVATE KEY-----")?,
            })
        });
        Ok(Some(ClientTls {
            ca: pem("--tls-ca", ca, "CERTIFICATE-----")?,
            server_name: self.tls_server_name.as_deref().unwrap_or(host).to_owned(),
            identity: identity.transpose()?,
        }))
    }
}

/// The text of a PEM file, which must hold a section whose first line ends with `kind`.
fn pem(flag: &str, path: &Path, kind: &str) -> anyhow::Result<String> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("{flag} {shown}: cannot read"))?;
    let mut lines = text.lines().map(str::trim_end);
    if !lines.any(|line| line.starts_with("-----BEGIN ") && line.ends_with(kind)) {
        let what = kind.trim_end_matches('-').to_lowercase();
        bail!("{flag} {shown}: holds no PEM {what}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_host_of_the_backend() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        fs::write(&ca, "-----BEGIN CERTIFICATE-----\n").unwrap();
        let mut args = TlsArgs {
            tls_ca: Some(ca),
            ..TlsArgs::default()
        };
        let name = |args: &TlsArgs, direct| args.read(direct).unwrap().unwrap().server_name;
        assert_eq!(
            name(&args, "live-store-0.example:9095"),
            "live-store-0.example"
        );
        assert_eq!(name(&args, "[::1]:9095"), "::1");
        args.tls_server_name = Some("live-store".to_owned());
        assert_eq!(name(&args, "127.0.0.1:9095"), "live-store");
        assert!(TlsArgs::default().read("a:1").unwrap().is_none());
    }

    #[test]
    fn a_file_that_is_no_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file.pem");
        fs::write(&file, "-----BEGIN PRIVATE KEY-----\n").unwrap();
        let error = |path: &Path| {
            let args = TlsArgs {
                tls_ca: Some(path.to_owned()),
                ..TlsArgs::default()
            };
            format!("{:#}", args.read("a:1").unwrap_err())
        };
        let shown = file.display();
        assert_eq!(
            error(&file),
            format!("--tls-ca {shown}: holds no PEM certificate")
        );
        let missing = error(Path::new("/no/such/ca.pem"));
        assert!(
            missing.starts_with("--tls-ca /no/such/ca.pem: cannot read"),
            "{missing}"
        );
    }
}
