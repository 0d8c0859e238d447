//! The effective settings in one line each, as they would be typed.

use std::fmt;

use super::{
    AccessRules, AdminAddr, Config, CountLimit, Engine, Limit, ProxyProtocol, RelayConfig, Sched,
    Size, SocketOptions, Span, Timeouts, count::Workers, show_choice,
};

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "forwards={}", list(&self.forwards))?;
        write!(f, " workers={} sched={}", Workers(self.workers), self.sched)?;
        write!(f, " {} {} {}", self.relay, self.timeouts, self.sockets)?;
        write!(
            f,
            " max_connections={}",
            or("by-nofile", self.max_connections)
        )?;
        write!(
            f,
            " max_connections_per_source={} max_accept_rate={}",
            CountLimit(self.max_connections_per_source),
            CountLimit(self.max_accept_rate),
        )?;
        write!(
            f,
            " {} {} admin={} {}",
            self.access,
            self.proxy_protocol,
            AdminAddr(self.admin.clone()),
            self.log
        )
    }
}

impl fmt::Display for Sched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_choice(self, f)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_choice(self, f)
    }
}

impl fmt::Display for RelayConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "engine={} buffer_size={} pipe_size={} max_pipes={}",
            self.engine,
            Size(self.buffer_size),
            Size(self.pipe_size),
            or("by-worker", self.max_pipes),
        )
    }
}

impl fmt::Display for Timeouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "resolve_timeout={} connect_timeout={} connect_retry={} idle_timeout={} \
             half_close_timeout={} max_lifetime={} drain_timeout={}",
            Span(self.resolve),
            Span(self.connect),
            Span(self.connect_retry),
            Limit::from(self.idle),
            Limit::from(self.half_close),
            Limit::from(self.lifetime),
            Span(self.drain),
        )
    }
}

impl fmt::Display for SocketOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "backlog={} keepalive={} user_timeout={} rcvbuf={} sndbuf={} congestion={} \
             reuse_port={}",
            self.backlog,
            Limit::from(self.keepalive),
            Limit::from(self.user_timeout),
            or("kernel", self.rcvbuf.map(Size)),
            or("kernel", self.sndbuf.map(Size)),
            or("kernel", self.congestion.as_deref()),
            self.reuse_port,
        )
    }
}

impl fmt::Display for AccessRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "allow={} deny={}",
            list_or_off(&self.allow),
            list_or_off(&self.deny)
        )
    }
}

impl fmt::Display for ProxyProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "proxy_protocol={} accept_proxy_protocol={}",
            self.send,
            list_or_off(&self.accept)
        )
    }
}

fn list_or_off(items: &[impl ToString]) -> String {
    or("off", Some(list(items)).filter(|list| !list.is_empty()))
}

pub(super) fn list(items: &[impl ToString]) -> String {
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    items.join(",")
}

fn or(absent: &str, value: Option<impl ToString>) -> String {
    value.map_or_else(|| absent.to_owned(), |value| value.to_string())
}
