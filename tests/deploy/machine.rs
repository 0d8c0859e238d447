//! A machine with systemd as its first process: in namespaces of its own, with this repository's
//! units, the binary under test, the default ports, and no unit of the host's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use rustix::process::Pid;
use tempfile::TempDir;

use super::{
    namespace::{in_network_of, possible},
    support::{BINARY, eventually, eventually_some, skip},
};

/// Makes the machine, in namespaces that `unshare` has made. `$1` is a folder with a folder `bin`.
const BOOT: &str = r#"
set -eu
mount --make-rprivate /
mount -t proc proc /proc
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /etc/systemd/system
mount --bind "$1/bin" /usr/local/bin
ip link set lo up
mkdir /run/targets
for target in basic sysinit shutdown sockets network multi-user; do
  printf '[Unit]\nDefaultDependencies=no\n' >"/run/targets/$target.target"
done
export container=test SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/targets
exec /lib/systemd/systemd --system --unit=basic.target --log-target=console --show-status=0
"#;

/// A running machine. Dropping it switches it off.
pub(crate) struct Machine {
    child: Child,
    init: Pid,
    /// Its place in the host's tree of control groups.
    cgroup: PathBuf,
    folder: TempDir,
}

impl Machine {
    /// Boots one. `None`, with a word to say why, where that can't be done.
    pub(crate) fn boot() -> Option<Self> {
        if !possible(&["systemctl", "/lib/systemd/systemd"]) {
            return None;
        }
        let Some(groups) = unified_cgroups() else {
            skip("there are no control groups of version 2");
            return None;
        };
        let folder = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        for unit in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd")).unwrap() {
            let unit = unit.unwrap();
            fs::copy(unit.path(), folder.path().join(unit.file_name())).unwrap();
        }
        fs::copy(BINARY, folder.path().join("portamento")).unwrap();

        let name = folder.path().file_name().unwrap().to_string_lossy();
        let cgroup = groups.join(format!("portamento{name}"));
        fs::create_dir(&cgroup).unwrap();
        // It enters the group before the namespace makes that the root of all it sees.
        let child = Command::new("sh")
            .args([
                "-c",
                r#"echo $$ >"$1/cgroup.procs"; shift; exec "$@""#,
                "sh",
            ])
            .arg(&cgroup)
            .args([
                "unshare",
                "--fork",
                "--kill-child",
                "--pid",
                "--mount",
                "--net",
            ])
            .args(["--cgroup", "--ipc", "--uts", "sh", "-c", BOOT, "sh"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let init = eventually_some("systemd is started", || first_child(&child));
        let machine = Self {
            child,
            init,
            cgroup,
            folder,
        };
        eventually("systemd answers", || machine.succeeds("systemctl show"));
        Some(machine)
    }

    /// Boots one and has the commands of the page put this unit and the binary in their places.
    pub(crate) fn with(units: &[&str]) -> Option<Self> {
        let machine = Self::boot()?;
        machine.run("install -m 755 portamento /usr/local/bin/");
        for unit in units {
            machine.run(&format!("install -m 644 {unit} /etc/systemd/system/"));
        }
        machine.run("systemctl daemon-reload");
        Some(machine)
    }

    /// Runs a shell script there, in the folder with the binary and the units, and returns what it
    /// prints.
    ///
    /// # Panics
    /// It fails.
    pub(crate) fn run(&self, script: &str) -> String {
        let output = self.output(script);
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn succeeds(&self, script: &str) -> bool {
        self.output(script).status.success()
    }

    fn output(&self, script: &str) -> Output {
        Command::new("nsenter")
            .args(["--target", &self.init.to_string()])
            .args(["--mount", "--pid", "--net", "--cgroup", "--ipc", "--uts"])
            .arg(format!("--wdns={}", self.folder.path().display()))
            .args(["sh", "-euc", script])
            .output()
            .unwrap()
    }

    /// A property of a unit.
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        self.run(&format!("systemctl show --property {name} --value {unit}"))
    }

    /// The lines of `/proc/PID/status` of a unit's main process.
    pub(crate) fn status_of(&self, unit: &str) -> String {
        let pid = self.property(unit, "MainPID");
        self.run(&format!("cat /proc/{pid}/status"))
    }

    /// Runs `act` on a thread in its network.
    pub(crate) fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        in_network_of(self.init, act)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.child.kill()); // and with it, by the kernel, all that is in there
        drop(self.child.wait());
        eventually("its control groups are empty", || {
            remove_tree(&self.cgroup).is_ok()
        });
    }
}

/// Where version 2 of the control groups is mounted, alone or beside version 1.
fn unified_cgroups() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(path))
    })
}

fn first_child(parent: &Child) -> Option<Pid> {
    let id = parent.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
    let pid = children.split_whitespace().next()?.parse().ok()?;
    // What unshare has forked becomes a shell, and then systemd.
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    (name.trim() == "systemd").then(|| Pid::from_raw(pid))?
}

/// Control groups are removed from the leaves on; their files go with them.
fn remove_tree(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(dir)
}
