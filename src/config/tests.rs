use super::*;

#[test]
fn the_effective_settings_are_one_line() {
    let mut config = Config::for_pair(defaults::LISTEN, defaults::UPSTREAM);
    assert_eq!(
        config.to_string(),
        "forwards=0.0.0.0:12345=127.0.0.1:9095 workers=auto sched=normal engine=auto \
         buffer_size=64KiB pipe_size=1MiB max_pipes=by-worker resolve_timeout=10s connect_timeout=5s \
         connect_retry=0s idle_timeout=off half_close_timeout=30s max_lifetime=off drain_timeout=25s backlog=1024 \
         keepalive=30s user_timeout=off rcvbuf=kernel sndbuf=kernel congestion=kernel \
         reuse_port=false max_connections=by-nofile max_connections_per_source=off \
         max_accept_rate=off allow=off deny=off proxy_protocol=off accept_proxy_protocol=off \
         admin=off log_level=info log_format=logfmt access_log=errors"
    );

    config.workers = NonZeroUsize::new(2);
    config.relay.max_pipes = NonZeroUsize::new(64);
    config.sockets.rcvbuf = Some(4096);
    config.sockets.congestion = Some("bbr".to_owned());
    config.timeouts.idle = Some(Duration::from_secs(90));
    config.access.allow = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
    config.max_connections_per_source = NonZeroUsize::new(100);
    config.max_accept_rate = NonZeroUsize::new(500);
    config.proxy_protocol.send = SendProxy::V2;
    config.proxy_protocol.accept = vec!["10.1.0.0/16".parse().unwrap()];
    let line = config.to_string();
    for part in [
        " workers=2 ",
        " max_pipes=64 ",
        " rcvbuf=4KiB ",
        " congestion=bbr ",
        " idle_timeout=1m30s ",
        " allow=10.0.0.0/8,fd00::/8 ",
        " max_connections_per_source=100 ",
        " max_accept_rate=500 ",
        " proxy_protocol=v2 accept_proxy_protocol=10.1.0.0/16 ",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}
