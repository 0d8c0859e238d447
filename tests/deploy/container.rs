//! The static binary where there is nothing else: an empty root that nobody can write to, nobody's
//! uid, no capabilities. `deploy/release/build` makes it, `PORTAMENTO_STATIC` names it.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use rustix::process::Pid;
use tempfile::TempDir;

use super::{
    namespace::{in_network_of, possible},
    queriers::{ADVERTISED, assert_forwards_grpc, standin},
    status_value,
    support::{End, Process, connect, eventually, get, read_out, skip},
};

/// What the image may weigh, and so the binary, which is all that is in it.
pub(super) const IMAGE_LIMIT: u64 = 10 << 20; // bytes

/// Becomes the process in the jail, in namespaces that `unshare` has made. `$1` is its root, the
/// rest are its arguments. Of the capabilities only those are in reach that it takes to get there,
/// and the last step gives them up with the uid.
const ENTER: &str = r#"
set -eu
root=$1; shift
mount --make-rprivate /
mount --bind "$root" "$root"
mount -o remount,bind,ro,nosuid,nodev "$root"
ip link set lo up
exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,+sys_chroot,+setuid,+setgid \
  chroot --userspec=65532:65532 --groups= "$root" /portamento "$@"
"#;

/// An empty root with the static binary.
struct Jail {
    root: TempDir,
}

impl Jail {
    /// `None`, with a word to say why, where it can't be had.
    fn new(programs: &[&str]) -> Option<Self> {
        let binary = static_binary()?;
        if !possible(&[&["setpriv", "chroot"], programs].concat()) {
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // Not by this process: what it forks meanwhile would hold the copy open, and so unfit to run.
        let copied = Command::new("cp")
            .arg(binary)
            .arg(root.path().join("portamento"))
            .status();
        assert!(copied.unwrap().success());
        Some(Self { root })
    }

    /// Adds a file of `/etc`.
    fn etc(self, name: &str, text: &str) -> Self {
        let etc = self.root.path().join("etc");
        fs::create_dir_all(&etc).unwrap();
        fs::set_permissions(&etc, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(etc.join(name), text).unwrap();
        self
    }

    fn start(&self, flags: &[&str]) -> Process {
        let mut command = Command::new("unshare");
        command
            .args(["--net", "--mount", "sh", "-c", ENTER, "sh"])
            .arg(self.root.path())
            .args(["--access-log", "all"])
            .args(flags);
        Process::launch(&mut command)
    }
}

pub(super) fn static_binary() -> Option<PathBuf> {
    let binary = env::var_os("PORTAMENTO_STATIC").map(PathBuf::from);
    if binary.is_none() {
        skip("PORTAMENTO_STATIC names no static binary; deploy/release/build makes one");
    }
    binary
}

#[test]
fn the_static_binary_forwards_grpc_from_an_empty_read_only_root_without_privileges() {
    let Some(jail) = Jail::new(&[]) else {
        return;
    };
    let process = jail.start(&[]);
    let pid = process.pid();
    let admin = process.admin();
    in_network_of(pid, || {
        let _standin = standin();
        assert_forwards_grpc();
        eventually("it is ready", || get(admin, "/ready").status == 200);
    });
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let value = |key| status_value(&status, key);
    assert_eq!(value("Uid"), ["65532"; 4].join("\t"));
    assert_eq!(value("Gid"), ["65532"; 4].join("\t"));
    assert_eq!(value("Groups"), "");
    assert_eq!(value("NoNewPrivs"), "1");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(value(set), "0000000000000000", "{set}");
    }
    // Nothing was there but the binary, and not even root can write there.
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let files: Vec<_> = fs::read_dir(&root)
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert_eq!(files, ["portamento"]);
    let error = fs::write(root.join("file"), "").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
}

#[test]
fn the_static_binary_is_small() {
    let Some(binary) = static_binary() else {
        return;
    };
    let size = fs::metadata(&binary).unwrap().len();
    assert!(size < IMAGE_LIMIT, "{size} bytes");
}

#[test]
fn names_of_the_hosts_file_resolve_in_the_static_binary() {
    let Some(jail) = Jail::new(&[]) else {
        return;
    };
    let jail = jail.etc("hosts", "127.0.0.1 tempo.example\n");
    let process = jail.start(&["--upstream", "tempo.example:9095"]);
    in_network_of(process.pid(), || {
        let _standin = standin();
        assert_forwards_grpc();
    });
}

/// What else it may name is loaded from the host, which kills a process whose C library is another:
/// so it is not even looked at.
#[test]
fn names_resolve_in_the_static_binary_whatever_the_hosts_nsswitch_conf_says() {
    let Some(jail) = Jail::new(&[]) else {
        return;
    };
    let jail = jail.etc("hosts", "127.0.0.1 tempo.example\n");
    let jail = jail.etc(
        "nsswitch.conf",
        "hosts: resolve [!UNAVAIL=return] myhostname\n",
    );
    let process = jail.start(&["--upstream", "tempo.example:9095"]);
    in_network_of(process.pid(), || {
        let _standin = standin();
        assert_forwards_grpc();
    });
}

#[test]
fn names_of_the_cluster_resolve_in_the_static_binary() {
    let Some(jail) = Jail::new(&["dnsmasq"]) else {
        return;
    };
    // As the kubelet writes it for a pod.
    let jail = jail.etc(
        "resolv.conf",
        "search tracing.svc.cluster.local svc.cluster.local cluster.local\n\
         nameserver 127.0.0.1\n\
         options ndots:5\n",
    );
    let process = jail.start(&["--upstream", "tempo:9095"]);
    let _server = NameServer::start(
        process.pid(),
        "tempo.tracing.svc.cluster.local",
        Ipv4Addr::LOCALHOST,
    );
    in_network_of(process.pid(), || {
        let _standin = standin();
        assert_forwards_grpc();
    });

    let jail = jail.etc("hosts", "");
    let process = jail.start(&["--upstream", "nobody:9095"]);
    let _server = NameServer::start(
        process.pid(),
        "tempo.tracing.svc.cluster.local",
        Ipv4Addr::LOCALHOST,
    );
    let client = in_network_of(process.pid(), || {
        let client = connect(ADVERTISED.parse().unwrap());
        assert_eq!(read_out(&client).1, End::Reset);
        client.local_addr().unwrap()
    });
    assert_eq!(process.record_of(client).text("reason"), "resolve");
}

/// dnsmasq in the network of a process: it knows one name. Dropping it ends it.
struct NameServer(Child);

impl NameServer {
    fn start(network: Pid, name: &str, address: Ipv4Addr) -> Self {
        let server = Command::new("nsenter")
            .args(["--target", &network.to_string(), "--net", "dnsmasq"])
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--pid-file",
            ])
            .args(["--no-resolv", "--no-hosts", "--user=root"])
            .args(["--listen-address=127.0.0.1", "--bind-interfaces"])
            .arg(format!("--host-record={name},{address}"))
            .arg("--local=/local/")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self(server);
        // It serves TCP as well, on the same port.
        let port: SocketAddr = (Ipv4Addr::LOCALHOST, 53).into();
        in_network_of(network, || {
            eventually("the name server listens", || {
                std::net::TcpStream::connect(port).is_ok()
            });
        });
        server
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
