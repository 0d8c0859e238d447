//! The manifests are valid, agree with each other, and say what the binary understands.

use std::time::Duration;

use clap::Parser;
use portamento::{
    cli::Args,
    config::{Config, ListenAddr, UpstreamAddr},
};
use serde_json::{Value, json};

use crate::{
    manifests::{
        EXTRA, KUSTOMIZE, MONITOR, NATIVE, PATCH, POLICY, args, assert_valid, container, document,
        files, lines_above, port, validate, with_kustomize, with_values,
    },
    pod_security::assert_restricted,
    support::{Echo, Nobody, Process, get},
};

/// The newest schemas that there are, the first with native sidecars, and the oldest that the chart
/// takes.
const NEWEST: &str = "1.37";
const FIRST_NATIVE: &str = "1.29";
const OLDEST: &str = "1.25";

/// What Tempo listens on unless told otherwise.
const TEMPO_GRPC: u16 = 9095;

/// Each way to deploy it, with the live-store that comes of it.
fn live_stores() -> Vec<(&'static str, Value)> {
    let helm = [NATIVE, EXTRA].map(|path| (path, with_values(path)));
    let kustomize = with_kustomize().map(|set| (KUSTOMIZE, set));
    helm.into_iter().chain(kustomize).collect()
}

fn sidecar(set: &Value) -> &Value {
    container(&set["spec"]["template"], "portamento")
}

/// What the sidecar would do.
fn config(set: &Value) -> Config {
    let args = args(sidecar(set), &[]);
    let typed = Args::try_parse_from(["portamento".to_owned()].into_iter().chain(args));
    Config::try_from(typed.unwrap().forwarder).unwrap()
}

fn listen_port(config: &Config) -> u16 {
    config.forwards[0].listen.port().unwrap()
}

#[test]
fn every_manifest_is_valid_for_the_versions_that_it_is_for() {
    let sets = live_stores();
    let of = |wanted: &[&str]| {
        let sets = sets.iter().filter(|(path, _)| wanted.contains(path));
        let sets = sets.map(|(_, set)| set.clone());
        sets.chain([document(POLICY)]).collect::<Vec<_>>()
    };
    // Once for each version: the validator takes long to start.
    assert_valid(&of(&[NATIVE, EXTRA, KUSTOMIZE]), NEWEST);
    assert_valid(&of(&[NATIVE, KUSTOMIZE]), FIRST_NATIVE);
    assert_valid(&of(&[EXTRA]), OLDEST);
}

#[test]
fn a_manifest_with_a_mistake_in_it_is_not_valid() {
    for mistake in [
        json!({"readinessprobe": {}}),
        json!({"ports": [{"containerPort": "12345"}]}),
    ] {
        let mut set = with_values(NATIVE);
        let sidecar = &mut set["spec"]["template"]["spec"]["initContainers"][0];
        let sidecar = sidecar.as_object_mut().unwrap();
        sidecar.extend(mistake.as_object().unwrap().clone());
        if let Some((valid, said)) = validate(&[set], NEWEST) {
            assert!(!valid, "{said}");
        }
    }
}

#[test]
fn the_port_is_the_same_everywhere() {
    for (path, set) in live_stores() {
        let config = config(&set);
        let listen = listen_port(&config);
        assert_eq!(port(sidecar(&set), "portamento"), u64::from(listen));
        let UpstreamAddr::Ip(upstream) = config.forwards[0].upstream else {
            panic!("{path}: Tempo is in the same pod");
        };
        assert!(upstream.ip().is_loopback());
        assert_eq!(upstream.port(), TEMPO_GRPC);

        let admin = config.admin.unwrap();
        assert!(
            matches!(admin, ListenAddr::DualStack(_)),
            "kubelet and Prometheus call the pod's address, of whichever family"
        );
        let admin = admin.port().unwrap();
        assert_eq!(port(sidecar(&set), "proxy-metrics"), u64::from(admin));
        let annotations = &set["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(annotations["prometheus.io/port"], admin.to_string());
        assert_eq!(annotations["prometheus.io/path"], "/metrics");
        if path != KUSTOMIZE {
            let ring = &document(path)["liveStore"]["config"]["ring"];
            assert_eq!(ring["instance_port"], listen);
        }
    }
}

#[test]
fn the_policy_opens_what_is_needed_and_not_the_port_of_tempo() {
    let set = with_values(NATIVE);
    let config = config(&set);
    let policy = document(POLICY);
    let selector = policy["spec"]["podSelector"]["matchLabels"]
        .as_object()
        .unwrap();
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress"]));
    for (path, set) in live_stores() {
        let labels = set["spec"]["template"]["metadata"]["labels"]
            .as_object()
            .unwrap();
        for (name, value) in selector {
            assert_eq!(
                labels.get(name),
                Some(value),
                "{path} is what the policy is for"
            );
        }
    }
    let rules = policy["spec"]["ingress"].as_array().unwrap();
    let open: Vec<u64> = rules
        .iter()
        .inspect(|rule| assert!(rule["from"].is_array(), "open to some, not to all: {rule}"))
        .flat_map(|rule| rule["ports"].as_array().unwrap())
        .map(|port| port["port"].as_u64().unwrap())
        .collect();
    assert!(open.contains(&u64::from(listen_port(&config))));
    assert!(open.contains(&u64::from(config.admin.unwrap().port().unwrap())));
    assert!(
        !open.contains(&u64::from(TEMPO_GRPC)),
        "it is what must be closed"
    );
}

#[test]
fn the_pod_monitor_finds_the_metrics() {
    let monitor = document(MONITOR);
    assert_eq!(monitor["apiVersion"], "monitoring.coreos.com/v1");
    assert_eq!(monitor["kind"], "PodMonitor");
    let selector = &monitor["spec"]["selector"];
    assert_eq!(*selector, document(POLICY)["spec"]["podSelector"]);
    let [endpoint] = monitor["spec"]["podMetricsEndpoints"]
        .as_array()
        .unwrap()
        .as_slice()
    else {
        panic!("{monitor}");
    };
    for (_, set) in live_stores() {
        port(sidecar(&set), endpoint["port"].as_str().unwrap()); // or it panics
    }
    let echo = Echo::start();
    let process = Process::start(echo.addr(), &[]);
    let path = endpoint["path"].as_str().unwrap();
    let scrape = get(process.admin(), path);
    assert!(scrape.body.contains("portamento_build_info"), "{path}");
    let known = ["port", "path", "interval"];
    let mut keys = endpoint.as_object().unwrap().keys();
    assert!(keys.all(|key| known.contains(&key.as_str())), "{endpoint}");
}

#[test]
fn the_probes_ask_what_they_should() {
    let nobody = Nobody::new();
    let waiting = Process::start(nobody.addr(), &[]);
    let echo = Echo::start();
    let serving = Process::start(echo.addr(), &[]);
    for (path, set) in live_stores() {
        let status = |probe: &str, process: &Process| {
            let asked = &sidecar(&set)[probe]["httpGet"];
            let name = asked["port"].as_str().unwrap();
            assert_eq!(
                port(sidecar(&set), name),
                u64::from(config(&set).admin.unwrap().port().unwrap())
            );
            get(process.admin(), asked["path"].as_str().unwrap()).status
        };
        for probe in ["startupProbe", "livenessProbe"] {
            assert_eq!(
                status(probe, &waiting),
                200,
                "{path}: the upstream starts later"
            );
            assert_eq!(status(probe, &serving), 200);
        }
        assert_eq!(status("readinessProbe", &waiting), 503);
        assert_eq!(status("readinessProbe", &serving), 200);
    }
}

#[test]
fn it_runs_under_the_restricted_pod_security_level() {
    for path in [NATIVE, EXTRA] {
        assert_restricted(&with_values(path)["spec"]["template"]["spec"]);
    }
    // The rest of the pod is the user's own.
    let patch = document(PATCH);
    assert_restricted(&patch["spec"]["template"]["spec"]);
}

#[test]
fn a_drain_fits_into_the_grace_period_and_outlasts_the_live_store() {
    let live_store_takes = Duration::from_secs(6); // TEMPO: it is gone 3.6 to 5.1 s after SIGTERM
    let set = with_values(EXTRA);
    let grace = &set["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
    let drain = config(&set).timeouts.drain;
    assert!(drain < Duration::from_secs(grace.as_u64().unwrap()));
    assert!(drain > live_store_takes);
    // A native sidecar is told when the live-store has ended.
    for set in [with_values(NATIVE), document(PATCH)] {
        assert_eq!(sidecar(&set)["restartPolicy"], "Always"); // the schema takes any word
    }
}

#[test]
fn cpu_is_asked_for_and_not_limited() {
    for (path, set) in live_stores() {
        let resources = &sidecar(&set)["resources"];
        assert!(resources["requests"]["cpu"].is_string(), "{path}");
        assert!(
            resources["limits"]["cpu"].is_null(),
            "{path}: a throttled sidecar stalls"
        );
        assert!(resources["limits"]["memory"].is_string(), "{path}");
    }
}

#[test]
fn the_same_container_is_deployed_everywhere() {
    let plain = |set: &Value| {
        let mut sidecar = sidecar(set).clone();
        let sidecar = sidecar.as_object_mut().unwrap();
        sidecar.remove("restartPolicy");
        let args = sidecar["args"].as_array_mut().unwrap();
        args.retain(|arg| !arg.as_str().unwrap().starts_with("--drain-timeout"));
        json!(sidecar)
    };
    let native = plain(&with_values(NATIVE));
    for (path, set) in live_stores() {
        assert_eq!(plain(&set), native, "{path}");
    }
}

#[test]
fn whoever_deploys_it_is_told_to_set_the_image() {
    let mut images = 0;
    for path in files() {
        for above in lines_above(&path, "registry.example.com/") {
            assert!(
                above.contains("SET THIS") || above.contains("name: "),
                "{path}: {above}"
            );
            images += 1;
        }
    }
    assert!(images >= 3);
}
