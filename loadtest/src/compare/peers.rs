//! The proxies that are compared, each with the settings that serve it best.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::ProxyCommand;
use crate::process::in_path;

/// Another proxy, with its settings.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// How it is started.
    pub(super) command: ProxyCommand,
    /// Its version, as it tells it.
    pub(super) version: Option<String>,
    /// Why it cannot be measured.
    pub(super) missing: Option<String>,
}

/// All peers that are known, those that are not installed among them.
pub(super) fn all() -> Vec<Peer> {
    vec![
        peer(
            "haproxy-copy",
            "haproxy",
            &["-v"],
            HAPROXY_COMMAND,
            Some(haproxy("", "nosplice")),
        ),
        peer(
            "haproxy-splice",
            "haproxy",
            &["-v"],
            HAPROXY_COMMAND,
            Some(haproxy(
                "option splice-request\n  option splice-response",
                "",
            )),
        ),
        nginx(),
        peer(
            "envoy",
            "envoy",
            &["--version"],
            "{program} -c {config} --log-level error --use-dynamic-base-id",
            Some(ENVOY.to_owned()),
        ),
        peer(
            "socat",
            "socat",
            &["-V"],
            "{program} -b 65536 -t 60 \
             TCP-LISTEN:{listen_port},bind=127.0.0.1,reuseaddr,backlog=1024,fork,nodelay \
             TCP:{upstream},nodelay",
            None,
        ),
        peer(
            "realm",
            "realm",
            &["--version"],
            "{program} --listen {listen} --remote {upstream}",
            None,
        ),
    ]
}

fn peer(
    name: &str,
    program: &str,
    version: &[&str],
    template: &str,
    config: Option<String>,
) -> Peer {
    let path = in_path(program);
    let named = Path::new(program);
    let shown = path.as_deref().unwrap_or(named);
    Peer {
        command: ProxyCommand {
            name: name.to_owned(),
            template: template.replace("{program}", &shown.display().to_string()),
            config,
        },
        version: path.as_deref().and_then(|path| told(path, version)),
        missing: path.is_none().then(|| format!("{program} is not in PATH")),
    }
}

/// The first line with a number in what a program says of itself.
pub(super) fn told(program: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| line.contains(|c: char| c.is_ascii_digit()))?;
    // Envoy begins with how it was called.
    let called = program.display().to_string();
    let line = line.strip_prefix(&called).unwrap_or(line).trim_start();
    Some(line.to_owned())
}

const HAPROXY_COMMAND: &str = "{program} -db -f {config}";

/// Buffers and pipes of the sizes at which it does best; threads are by default one for each CPU.
fn haproxy(options: &str, global: &str) -> String {
    format!(
        "global\n  maxconn 4000\n  tune.bufsize 65536\n  tune.pipesize 1048576\n  {global}\n\
         defaults\n  mode tcp\n  {options}\n  \
         timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n\
         listen relay\n  bind {{listen}}\n  server origin {{upstream}}\n"
    )
}

/// nginx, where it has a stream module: built in, or a file beside it, which has to be named.
fn nginx() -> Peer {
    let built = in_path("nginx").map_or_else(String::new, |program| {
        let output = Command::new(program).arg("-V").output();
        output.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    });
    let module = StreamModule::of(&built);
    let load = match &module {
        StreamModule::File(path) => format!("load_module {};\n", path.display()),
        StreamModule::BuiltIn | StreamModule::None => String::new(),
    };
    let config = format!(
        "{load}daemon off;\nworker_processes auto;\n\
         pid {{folder}}/pid;\nerror_log stderr crit;\n\
         events {{\n  worker_connections 8000;\n}}\n\
         stream {{\n  access_log off;\n  server {{\n    listen {{listen}} backlog=1024;\n    \
         proxy_pass {{upstream}};\n    proxy_buffer_size 64k;\n    proxy_timeout 1h;\n    \
         tcp_nodelay on;\n  }}\n}}\n"
    );
    let command = "{program} -e stderr -p {folder} -c {config}";
    let mut peer = peer("nginx", "nginx", &["-v"], command, Some(config));
    if peer.missing.is_none() && module == StreamModule::None {
        peer.missing = Some("its stream module is not installed".to_owned());
    }
    peer
}

/// Where an nginx has the module that relays plain TCP.
#[derive(Debug, PartialEq, Eq)]
enum StreamModule {
    BuiltIn,
    File(PathBuf),
    None,
}

impl StreamModule {
    /// That of the nginx that tells this of how it was built (`nginx -V`).
    fn of(built: &str) -> Self {
        let mut words = built.split_whitespace();
        if words.clone().any(|word| word == "--with-stream") {
            return Self::BuiltIn;
        }
        let folder = words.find_map(|word| word.strip_prefix("--modules-path="));
        let file = folder.map(|folder| Path::new(folder).join("ngx_stream_module.so"));
        file.filter(|file| file.is_file())
            .map_or(Self::None, Self::File)
    }
}

const ENVOY: &str = "\
static_resources:
  listeners:
  - name: relay
    address:
      socket_address: { address: 127.0.0.1, port_value: {listen_port} }
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: relay
          cluster: origin
  clusters:
  - name: origin
    type: STATIC
    connect_timeout: 5s
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint:
            address:
              socket_address: { address: 127.0.0.1, port_value: {upstream_port} }
";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn an_nginx_without_its_stream_module_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let modules = format!("--modules-path={}", folder.path().display());
        let built = format!("configure arguments: {modules} --with-stream=dynamic --with-threads");
        assert_eq!(StreamModule::of(&built), StreamModule::None);
        let file = folder.path().join("ngx_stream_module.so");
        std::fs::write(&file, "").unwrap();
        assert_eq!(StreamModule::of(&built), StreamModule::File(file));
        assert_eq!(
            StreamModule::of("nginx 1 --with-stream --with-http_ssl_module"),
            StreamModule::BuiltIn
        );
    }

    #[test]
    fn each_peer_has_a_name_and_both_placeholders() {
        let peers = all();
        let names: HashSet<_> = peers.iter().map(|peer| &peer.command.name).collect();
        assert_eq!(names.len(), peers.len());
        for Peer {
            command,
            missing,
            version,
        } in &peers
        {
            let text = command.template.clone() + command.config.as_deref().unwrap_or_default();
            assert!(missing.is_some() || text.contains("{listen"), "{text}");
            assert!(missing.is_some() || text.contains("{upstream"), "{text}");
            assert!(
                !text.contains("{program}") && command.name.len() <= 16,
                "{text}"
            );
            assert!(version.is_some() || missing.is_some(), "{command:?}");
        }
    }
}
