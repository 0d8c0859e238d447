//! The image, built from the Dockerfile by buildah and run by an OCI runtime. No registry is
//! reachable from a test, so that the static binary takes the place of what the build stage makes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    container::{IMAGE_LIMIT, static_binary},
    namespace::{in_network_of, possible},
    queriers::{assert_forwards_grpc, standin},
    status_value,
    support::{Process, eventually, get},
};

/// Runs the bundle in `$1`, in namespaces that `unshare` has made. Control groups of both versions
/// side by side are more than crun takes, and there is nothing here for it to limit.
const RUN: &str = r#"
set -eu
mount --make-rprivate /
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
cd "$1"
exec crun --cgroup-manager=disabled --root "$1/state" run portamento-test-$$
"#;

/// A folder for buildah's images and the bundle made of one.
struct Workshop(TempDir);

impl Workshop {
    fn buildah(&self, args: &[&str]) -> String {
        let folder = self.0.path().display();
        let output = Command::new("buildah")
            .args([
                format!("--root={folder}/images"),
                format!("--runroot={folder}/run"),
            ])
            .arg("--storage-driver=vfs")
            .args(args)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

#[test]
fn the_image_is_small_and_forwards_grpc_under_an_oci_runtime() {
    let Some(binary) = static_binary() else {
        return;
    };
    if !possible(&["buildah", "crun"]) {
        return;
    }
    let workshop = Workshop(tempfile::tempdir().unwrap());
    let built = workshop.path("built");
    fs::create_dir_all(built.join("out")).unwrap();
    fs::copy(binary, built.join("out/portamento")).unwrap();
    workshop.buildah(&[
        "bud",
        "--isolation=chroot",
        &format!("--build-context=build={}", built.display()),
        "--file=deploy/container/Dockerfile",
        "--tag=portamento-test",
        "--build-arg=VERSION=1.2.3",
        "--build-arg=REVISION=abcdef",
        ".",
    ]);

    let inspected = workshop.buildah(&["inspect", "--type=image", "portamento-test"]);
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    let config = &inspected["OCIv1"]["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["StopSignal"], "SIGTERM");
    let labels = &config["Labels"];
    for (label, value) in [
        ("title", "portamento"),
        ("licenses", "MIT OR Apache-2.0"),
        ("version", "1.2.3"),
        ("revision", "abcdef"),
    ] {
        assert_eq!(labels[format!("org.opencontainers.image.{label}")], value);
    }

    let container = workshop.buildah(&["from", "portamento-test"]);
    let root = workshop.buildah(&["mount", &container]);
    let files: Vec<_> = fs::read_dir(&root).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let size = files[0].metadata().unwrap().len();
    assert!(size < IMAGE_LIMIT, "{size} bytes");

    let bundle = workshop.path("bundle");
    fs::create_dir(&bundle).unwrap();
    let runtime_config = runtime_config(&bundle, Path::new(&root), &config["Entrypoint"]);
    fs::write(bundle.join("config.json"), runtime_config).unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--cgroup", "sh", "-c", RUN, "sh"])
        .arg(&bundle);
    let process = Process::launch(&mut command);
    // crun waits for its child, which is portamento.
    let crun = process.pid();
    let children = fs::read_to_string(format!("/proc/{crun}/task/{crun}/children")).unwrap();
    let pid = rustix::process::Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    in_network_of(pid, || {
        let _standin = standin();
        assert_forwards_grpc();
        eventually("it is ready", || {
            get(process.admin(), "/ready").status == 200
        });
    });
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert_eq!(status_value(&status, "Uid"), ["65532"; 4].join("\t"));
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status_value(&status, set), "0000000000000000", "{set}");
    }
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut process = process;
    assert_eq!(process.wait().code(), Some(0));
}

/// What a container engine makes of the image for PodSecurity 'restricted' and a read-only root.
fn runtime_config(bundle: &Path, root: &Path, entrypoint: &Value) -> String {
    let made = Command::new("crun")
        .arg("spec")
        .current_dir(bundle)
        .status();
    assert!(made.unwrap().success());
    let config = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(config).unwrap()).unwrap();
    config["root"] = json!({ "path": root, "readonly": true });
    let process = &mut config["process"];
    process["terminal"] = json!(false);
    process["args"] = entrypoint.clone();
    process["user"] = json!({ "uid": 65532, "gid": 65532 });
    process["noNewPrivileges"] = json!(true);
    process["capabilities"] = json!({});
    config["linux"].as_object_mut().unwrap().remove("resources");
    config.to_string()
}
