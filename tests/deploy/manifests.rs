//! The manifests, put together as Helm, kustomize and Kubernetes would.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{read, repository, support::installed, yaml};

pub(crate) const NATIVE: &str = "deploy/kubernetes/helm/native-sidecar.yaml";
pub(crate) const EXTRA: &str = "deploy/kubernetes/helm/extra-container.yaml";
pub(crate) const KUSTOMIZE: &str = "deploy/kubernetes/kustomize";
pub(crate) const PATCH: &str = "deploy/kubernetes/kustomize/sidecar.yaml";
pub(crate) const POLICY: &str = "deploy/kubernetes/network-policy.yaml";
pub(crate) const MONITOR: &str = "deploy/kubernetes/pod-monitor.yaml";
const LIVE_STORE: &str = "tests/deploy/fixtures/live-store.yaml";

/// The only document of a file.
pub(crate) fn document(path: &str) -> Value {
    let [document] = yaml(path).try_into().unwrap();
    document
}

/// A live-store as the chart makes it of values: each goes where `templates/_pod.tpl` puts it.
///
/// # Panics
/// There is a value of `liveStore` that is unknown here.
pub(crate) fn with_values(path: &str) -> Value {
    let mut set = document(LIVE_STORE);
    let values = document(path);
    let live_store = values["liveStore"].as_object().unwrap();
    let template = &mut set["spec"]["template"];
    for (key, value) in live_store {
        match key.as_str() {
            "config" => {} // in a ConfigMap
            "initContainers" => template["spec"]["initContainers"] = value.clone(),
            "extraContainers" => {
                let containers = template["spec"]["containers"].as_array_mut().unwrap();
                containers.extend(value.as_array().unwrap().iter().cloned());
            }
            "terminationGracePeriodSeconds" => {
                template["spec"]["terminationGracePeriodSeconds"] = value.clone();
            }
            "podSecurityContext" => template["spec"]["securityContext"] = value.clone(),
            "podLabels" => {
                let labels = template["metadata"]["labels"].as_object_mut().unwrap();
                labels.extend(value.as_object().unwrap().clone());
            }
            "podAnnotations" => template["metadata"]["annotations"] = value.clone(),
            other => panic!("{path}: where does the chart put {other}?"),
        }
    }
    set
}

/// What kustomize makes of a live-store; `None` where kubectl is missing.
pub(crate) fn with_kustomize() -> Option<Value> {
    if !installed("kubectl") {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let component = dir.path().join("component");
    fs::create_dir(&component).unwrap();
    for file in fs::read_dir(repository(KUSTOMIZE)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), component.join(file.file_name())).unwrap();
    }
    fs::copy(repository(LIVE_STORE), dir.path().join("live-store.yaml")).unwrap();
    let own = json!({"resources": ["live-store.yaml"], "components": ["component"]});
    fs::write(dir.path().join("kustomization.yaml"), own.to_string()).unwrap();
    let output = Command::new("kubectl")
        .arg("kustomize")
        .arg(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let [set] = serde_saphyr::from_multiple(str::from_utf8(&output.stdout).unwrap())
        .unwrap()
        .try_into()
        .unwrap();
    Some(set)
}

/// Holds objects against the schemas of a version of Kubernetes; nothing may be in them that is not
/// in the schema.
///
/// # Panics
/// One is not valid.
pub(crate) fn assert_valid(objects: &[Value], version: &str) {
    if let Some((valid, said)) = validate(objects, version) {
        assert!(valid, "{said}");
    }
}

/// Whether objects are valid, and what is said of that; `None` where the validator is missing.
pub(crate) fn validate(objects: &[Value], version: &str) -> Option<(bool, String)> {
    let validator = "kubernetes-validate";
    if !installed(validator) {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let files: Vec<_> = objects
        .iter()
        .enumerate()
        .map(|(index, object)| {
            let file = dir.path().join(format!("{index}.yaml"));
            fs::write(&file, object.to_string()).unwrap();
            file
        })
        .collect();
    let output = Command::new(validator)
        .args(["--strict", "--kubernetes-version", version])
        .args(files)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

/// The container of that name, wherever it is in a pod's template.
pub(crate) fn container<'a>(template: &'a Value, name: &str) -> &'a Value {
    let spec = &template["spec"];
    let lists = [&spec["initContainers"], &spec["containers"]];
    let mut containers = lists.into_iter().filter_map(Value::as_array).flatten();
    let found = containers.find(|container| container["name"] == name);
    found.unwrap_or_else(|| panic!("no container {name} in {template}"))
}

/// A container's arguments, with the flags of its variables in place.
///
/// # Panics
/// A variable is not one of the container's.
pub(crate) fn args(container: &Value, given: &[(&str, &str)]) -> Vec<String> {
    let args = container["args"].as_array().unwrap().iter();
    args.map(|arg| {
        let arg = given
            .iter()
            .fold(arg.as_str().unwrap().to_owned(), |arg, (name, value)| {
                arg.replace(&format!("$({name})"), value)
            });
        assert!(!arg.contains("$("), "{arg}");
        arg
    })
    .collect()
}

/// The container port of that name.
pub(crate) fn port(container: &Value, name: &str) -> u64 {
    let ports = container["ports"].as_array().unwrap();
    let found = ports.iter().find(|port| port["name"] == name);
    let port = found.unwrap_or_else(|| panic!("no port {name} in {container}"));
    port["containerPort"].as_u64().unwrap()
}

/// Every file with a manifest.
pub(crate) fn files() -> Vec<String> {
    fn below(dir: &Path, files: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                None => below(&path, files),
                Some(extension) if extension == "yaml" => {
                    let path = path.strip_prefix(repository("")).unwrap();
                    files.push(path.to_str().unwrap().to_owned());
                }
                Some(_) => {}
            }
        }
    }
    let mut files = Vec::new();
    below(&repository("deploy/kubernetes"), &mut files);
    files.sort();
    files
}

/// The line above each line of a file that has `text` in it.
pub(crate) fn lines_above(path: &str, text: &str) -> Vec<String> {
    let file = read(path);
    let lines: Vec<_> = file.lines().collect();
    let pairs = lines.windows(2).filter(|pair| pair[1].contains(text));
    pairs.map(|pair| pair[0].to_owned()).collect()
}
