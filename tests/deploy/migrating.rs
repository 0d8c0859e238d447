//! The other proxies' configurations in docs/MIGRATING.md do the same job: each is started as it
//! stands there, but for ports and paths, and has to pass bytes on.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    manifests::assert_valid,
    pages::blocks,
    support::{Echo, connect, echo_once, end, eventually, installed},
};

const PAGE: &str = "docs/MIGRATING.md";

/// A running proxy of somebody else's. Dropping it kills it, and its workers.
struct Proxy {
    child: Child,
    addr: SocketAddr,
    _dir: TempDir,
}

impl Proxy {
    /// Starts `program` over the blocks of these kinds, with the arguments made of the directory
    /// that they are in, each with its kind for a name.
    fn start(program: &str, kinds: &[&str], echo: &Echo, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let free = || {
            TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
        };
        let (addr, admin) = (free(), free());
        let path = dir.path().to_str().unwrap();
        for kind in kinds {
            let config = block(kind)
                .replace("12345", &addr.port().to_string())
                .replace("9464", &admin.port().to_string())
                .replace("9095", &echo.addr().port().to_string())
                .replace("0.0.0.0", "127.0.0.1")
                .replace(
                    "/etc/traefik/dynamic.yaml",
                    &format!("{path}/traefik-dynamic.yaml"),
                );
            // Some want to know from the name that it is YAML; the others take any name.
            fs::write(dir.path().join(format!("{kind}.yaml")), config).unwrap();
        }
        let child = Command::new(program)
            .args(args.iter().map(|arg| arg.replace("{dir}", path)))
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut proxy = Self {
            child,
            addr,
            _dir: dir,
        };
        eventually("the proxy listens", || {
            let ended = proxy.child.try_wait().unwrap();
            assert!(ended.is_none(), "{program} takes no such configuration");
            TcpStream::connect(addr).is_ok()
        });
        proxy
    }

    fn assert_forwards(&self) {
        // One that listens may still be without a route, and hold on to whoever comes meanwhile.
        eventually("bytes go there and back", || {
            let mut client = connect(self.addr);
            client
                .set_read_timeout(Some(Duration::from_secs(1)))
                .unwrap();
            client.write_all(b"?").is_ok() && client.read_exact(&mut [0]).is_ok()
        });
        echo_once(&connect(self.addr), &[7; 300_000]);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The only block of that kind.
fn block(kind: &str) -> String {
    let mut blocks: Vec<_> = blocks(PAGE)
        .into_iter()
        .filter(|block| block.kind == kind)
        .collect();
    assert_eq!(blocks.len(), 1, "{kind} in {PAGE}");
    blocks.remove(0).text
}

/// Values of the chart, as a pod's template would have them.
fn assert_values(kind: &str) {
    let [values] = serde_saphyr::from_multiple::<Value>(&block(kind))
        .unwrap()
        .try_into()
        .unwrap();
    for (component, value) in values.as_object().unwrap() {
        assert!(
            ["liveStore", "querier"].contains(&component.as_str()),
            "{component}"
        );
        let known = ["podLabels", "podAnnotations"];
        assert!(
            value
                .as_object()
                .unwrap()
                .keys()
                .all(|key| known.contains(&key.as_str()))
        );
        assert_valid(
            &[json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "tempo", "labels": value["podLabels"].as_object(),
                    "annotations": value["podAnnotations"]},
                "spec": {"containers": [{"name": "tempo", "image": "tempo"}]},
            })],
            "1.37",
        );
    }
}

#[test]
fn haproxy() {
    if !installed("haproxy") {
        return;
    }
    let echo = Echo::start();
    let args = ["-db", "-f", "{dir}/haproxy.yaml"];
    Proxy::start("haproxy", &["haproxy"], &echo, &args).assert_forwards();
}

#[test]
fn nginx() {
    if !installed("nginx") {
        return;
    }
    let echo = Echo::start();
    let args = [
        "-e",
        "stderr",
        "-p",
        "{dir}",
        "-c",
        "{dir}/nginx.yaml",
        "-g",
        "daemon off; pid pid; error_log stderr;",
    ];
    Proxy::start("nginx", &["nginx"], &echo, &args).assert_forwards();
}

#[test]
fn envoy() {
    if !installed("envoy") {
        return;
    }
    let echo = Echo::start();
    let args = [
        "--config-path",
        "{dir}/envoy.yaml",
        "--use-dynamic-base-id",
        "--concurrency",
        "1",
    ];
    Proxy::start("envoy", &["envoy"], &echo, &args).assert_forwards();
}

#[test]
fn traefik() {
    if !installed("traefik") {
        return;
    }
    let echo = Echo::start();
    let kinds = ["traefik-static", "traefik-dynamic"];
    let args = ["--configFile={dir}/traefik-static.yaml"];
    Proxy::start("traefik", &kinds, &echo, &args).assert_forwards();
}

#[test]
fn the_meshes_get_what_a_pod_may_have() {
    assert_values("istio");
    assert_values("linkerd");
}
