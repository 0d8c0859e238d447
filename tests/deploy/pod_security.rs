//! What the level "restricted" of the Pod Security Standards asks of a pod.

use serde_json::{Value, json};

/// Volumes that are neither the host's nor of an obsolete kind.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Holds a pod against that level.
///
/// # Panics
/// It would not be admitted.
pub(crate) fn assert_restricted(spec: &Value) {
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        assert_ne!(spec[host], true, "{host}");
    }
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        let mut kinds = volume
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| *key != "name");
        assert!(
            kinds.all(|kind| VOLUMES.contains(&kind.as_str())),
            "{volume}"
        );
    }
    let lists = [&spec["initContainers"], &spec["containers"]];
    for container in lists.into_iter().filter_map(Value::as_array).flatten() {
        let own = &container["securityContext"];
        let either = |key: &str| match &own[key] {
            Value::Null => &spec["securityContext"][key],
            value => value,
        };
        assert_eq!(either("runAsNonRoot"), true, "{container}");
        assert_ne!(either("runAsUser"), 0, "{container}");
        let profile = either("seccompProfile")["type"]
            .as_str()
            .unwrap_or_default();
        assert!(
            ["RuntimeDefault", "Localhost"].contains(&profile),
            "{container}"
        );
        assert_eq!(own["allowPrivilegeEscalation"], false, "{container}");
        assert_ne!(own["privileged"], true, "{container}");
        assert_eq!(own["capabilities"]["drop"], json!(["ALL"]), "{container}");
        assert!(own["capabilities"]["add"].is_null(), "{container}");
        for port in container["ports"].as_array().into_iter().flatten() {
            assert!(port["hostPort"].is_null(), "{container}");
        }
    }
}
