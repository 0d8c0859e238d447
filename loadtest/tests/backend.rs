//! `loadtest overhead` against a live-store of one's own, which is not the stand-in.

#![expect(
    clippy::unwrap_used,
    reason = "in the helpers too, a failed unwrap fails the test"
)]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loadtest::report::Report;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::{fits, live_store, loadtest, measure, portamento, relay, words};
use tempfile::TempDir;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

const PLAIN: [&str; 6] = [
    "--compression",
    "none",
    "--tenant",
    live_store::TENANT,
    "--duration",
    "1s",
];

fn kinds(report: &Report) -> Vec<&str> {
    report.kinds.iter().map(|kind| kind.kind.as_str()).collect()
}

#[test]
fn traces_are_found_and_read_by_their_short_ids() {
    let backend = live_store::start(None);
    let [one, two] = [relay(backend, |_| ()), relay(backend, |_| ())];
    let direct = format!("localhost:{}", backend.port()); // a name does as well
    let (one, two) = (one.to_string(), format!("other={two}"));
    let args = [
        "overhead", "--direct", &direct, "--via", &one, "--via", &two,
    ];
    let (output, report): (_, Report) = measure(&[&args[..], &PLAIN].concat());
    let (stdout, stderr) = words(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(fits(&stdout), "{stdout}");
    assert_eq!(
        kinds(&report),
        [
            "health check",
            "trace, small",
            "trace, large",
            "health, busy",
            "search",
            "tags",
            "tag values"
        ]
    );
    let proxies = report.kinds[0].through.iter();
    let proxies: Vec<&str> = proxies.map(|through| through.proxy.as_str()).collect();
    assert_eq!(proxies, ["via-1", "other"]);
    // All three were read, direct, null, and twice through.
    let most: usize = live_store::TRACES.iter().map(|(_, size)| size).sum();
    assert!(report.totals.compared_bytes > 4 * most as u64);
    assert!(
        report
            .warnings
            .iter()
            .any(|text| text.contains("QueryRange is left out")),
        "{:?}",
        report.warnings
    );
}

#[test]
fn a_tenant_that_the_backend_does_not_know_is_an_error() {
    let backend = live_store::start(None).to_string();
    let output = loadtest(&[
        "overhead",
        "--direct",
        &backend,
        "--via",
        &backend,
        "--compression",
        "none",
    ]);
    let (_, stderr) = words(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("no such tenant") && stderr.contains("single-tenant"),
        "{stderr}"
    );
}

#[test]
fn a_backend_without_snappy_says_which_flag_helps() {
    let backend = live_store::start(None).to_string();
    for mix in ["querier", "health"] {
        let output = loadtest(&[
            "overhead", "--direct", &backend, "--via", &backend, "--mix", mix,
        ]);
        let (_, stderr) = words(&output);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("--compression none"), "{stderr}");
    }
}

#[test]
fn without_a_proxy_portamento_is_started_before_the_backend() {
    let backend = live_store::start(None).to_string();
    let binary = portamento();
    let args = [
        "overhead",
        "--direct",
        &backend,
        "--mix",
        "health",
        "--portamento",
        binary.to_str().unwrap(),
    ];
    let (output, report): (_, Report) = measure(&[&args[..], &PLAIN].concat());
    let (stdout, stderr) = words(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert_eq!(kinds(&report), ["health check"]);
    assert!(report.proxies[0].cpu_us_per_request > 0.0);
}

/// An authority, and what it signs, as files.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate for `name` and its key, in `name.pem` and `name.key`.
    fn sign(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
        Identity::from_pem(certificate.pem(), key.serialize_pem())
    }
}

/// A portamento that ends with the test.
struct Forwarder {
    child: Child,
    addr: SocketAddr,
}

impl Forwarder {
    fn start(binary: &Path, upstream: SocketAddr) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = free.local_addr().unwrap();
        drop(free);
        let child = Command::new(binary)
            .args([
                "--listen",
                &addr.to_string(),
                "--upstream",
                &upstream.to_string(),
            ])
            .args(["--admin", "off"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while std::net::TcpStream::connect(addr).is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "portamento does not listen"
            );
            std::thread::yield_now();
        }
        Self { child, addr }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn mutual_tls_goes_through_portamento_and_directly() {
    let authority = Authority::new();
    let tls = ServerTlsConfig::new()
        .identity(authority.sign("live-store"))
        .client_ca_root(Certificate::from_pem(authority.issuer.pem()));
    authority.sign("querier");
    let backend = live_store::start(Some(tls));
    let forwarder = Forwarder::start(&portamento(), backend);
    let (direct, via) = (backend.to_string(), forwarder.addr.to_string());
    let file = |name: &str| authority.file(name).to_str().unwrap().to_owned();
    let (ca, cert, key) = (file("ca.pem"), file("querier.pem"), file("querier.key"));
    let common = [
        "overhead", "--direct", &direct, "--via", &via, "--tls-ca", &ca,
    ];
    let named = ["--tls-server-name", "live-store"];
    let identity = ["--tls-cert", &cert, "--tls-key", &key];
    let (output, report): (_, Report) = measure(&[&common[..], &named, &identity, &PLAIN].concat());
    let (stdout, stderr) = words(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert_eq!(report.settings.tls, "mtls");
    assert!(report.kinds.len() >= 5 && report.totals.errors == 0);

    // Without the name the certificate is not that of 127.0.0.1, without an own one the server
    // refuses, without TLS nobody understands the other.
    let plain = ["overhead", "--direct", &direct, "--via", &via];
    for args in [
        [&common[..], &identity, &PLAIN].concat(),
        [&common[..], &named, &PLAIN].concat(),
        [&plain[..], &PLAIN].concat(),
    ] {
        let output = loadtest(&args);
        let (stdout, stderr) = words(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stdout}");
        assert!(stderr.starts_with("Error: "), "{stderr}");
    }
}
