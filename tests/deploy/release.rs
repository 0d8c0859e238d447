//! What a release is made of: archives, a bill of materials that leaves nothing out, workflows that
//! run what is there.

use std::{
    collections::BTreeSet,
    env, fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use super::{
    read, repository,
    support::{BINARY, installed},
};

fn run(command: &mut Command) -> Output {
    let output = command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

fn text(command: &mut Command) -> String {
    String::from_utf8(run(command).stdout).unwrap()
}

#[test]
fn the_bill_of_materials_names_every_crate_of_the_binary() {
    if !installed("python3") {
        return;
    }
    let bill = text(Command::new("deploy/release/sbom").args(["portamento", BINARY]));
    let bill: Value = serde_json::from_str(&bill).unwrap();
    let product = &bill["metadata"]["component"];
    let listed: BTreeSet<_> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .chain([product])
        .map(|each| {
            let part = |key: &str| each[key].as_str().unwrap().to_owned();
            format!("{} v{}", part("name"), part("version"))
        })
        .collect();
    // Those that the manifest asks for, at the versions of Cargo.lock, and nothing of the tests'.
    let manifest = read("Cargo.toml");
    let wanted = manifest.split_once("\n[dependencies]\n").unwrap().1;
    let wanted = wanted.split("\n\n").next().unwrap().lines();
    let wanted: BTreeSet<_> = wanted
        .filter_map(|line| line.split([' ', '.', '=']).next())
        .collect();
    assert!(wanted.len() > 20);
    let lock = read("Cargo.lock");
    for name in wanted {
        let found = listed.iter().any(|each| {
            let (listed, version) = each.split_once(" v").unwrap();
            let locked = format!("name = \"{listed}\"\nversion = \"{version}\"\n");
            listed == name && lock.contains(&locked)
        });
        assert!(found, "{name}");
    }
    for name in ["criterion", "proptest", "loadtest", "tonic"] {
        let foreign = listed
            .iter()
            .any(|each| each.starts_with(&format!("{name} ")));
        assert!(!foreign, "{name}");
    }

    let digest = text(Command::new("sha256sum").arg(BINARY));
    let digest = digest.split(' ').next().unwrap();
    assert_eq!(product["hashes"][0]["content"], digest);
    let known: BTreeSet<_> = bill["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| &each["ref"])
        .map(Value::to_string)
        .collect();
    assert_eq!(known.len(), listed.len());
}

#[test]
fn the_same_binary_makes_the_same_archive_with_all_that_it_takes_to_run_it() {
    if !["python3", "tar", "gzip"].iter().all(installed) {
        return;
    }
    // The static one is a tenth of the other, which takes a while to pack.
    let binary = env::var("PORTAMENTO_STATIC").unwrap_or_else(|_| BINARY.to_owned());
    let [first, second] = [(), ()].map(|()| {
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("deploy/release/package")
            .arg(folder.path())
            .arg(&binary)
            .env("SOURCE_DATE_EPOCH", "1700000000"));
        folder
    });
    let sums = |folder: &Path| fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    assert_eq!(sums(first.path()), sums(second.path()));
    let checked = Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(first.path())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");

    let mut names = fs::read_dir(first.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap());
    let archive = names.find(|name| name.ends_with(".tar.gz")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        archive.starts_with(&format!("portamento-{version}-")),
        "{archive}"
    );
    let listing = text(
        Command::new("tar")
            .args(["--list", "--file"])
            .arg(first.path().join(&archive)),
    );
    let folder = archive.trim_end_matches(".tar.gz");
    for file in [
        "portamento",
        "portamento.1",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "README.md",
        "systemd/portamento.service",
        "systemd/portamento@.service",
        "systemd/portamento.socket",
        "completions/portamento.bash",
    ] {
        let path = format!("{folder}/{file}");
        assert!(
            listing.lines().any(|line| line == path),
            "{path}: {listing}"
        );
    }
}

#[test]
fn the_workflows_run_scripts_that_exist() {
    let mut scripts = 0;
    for workflow in [".github/workflows/ci.yml", ".github/workflows/release.yml"] {
        let text = read(workflow);
        let words = text.split(|letter: char| letter.is_whitespace() || "\"'()".contains(letter));
        for path in words.filter(|word| word.starts_with("deploy/") || word.starts_with(".ci/")) {
            assert!(repository(path).is_file(), "{workflow}: {path}");
            scripts += 1;
        }
    }
    assert!(scripts >= 6, "{scripts}");
}

#[test]
fn what_goes_into_the_image_is_not_kept_out_of_its_build() {
    let taken = read(".dockerignore");
    let taken: Vec<_> = taken
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    for path in &taken {
        assert!(repository(path).exists(), "{path}");
    }
    // Without one of these cargo does not even look at the workspace.
    for needed in [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "loadtest",
        "tcp-info",
        "benches",
    ] {
        assert!(taken.contains(&needed), "{needed}");
    }
}
