//! What the admin endpoint has to offer: `/metrics` takes its help from here, and so does `--help`.

use std::fmt::Write as _;

/// A family of metrics.
pub(crate) struct Metric {
    /// As it is written in `/metrics`.
    pub(crate) name: &'static str,
    /// Names of its labels, separated by commas.
    labels: &'static str,
    pub(crate) help: &'static str,
}

const fn metric(name: &'static str, labels: &'static str, help: &'static str) -> Metric {
    Metric { name, labels, help }
}

/// The paths, and what is there.
pub(crate) const ENDPOINTS: [(&str, &str); 5] = [
    ("/metrics", "counters, for Prometheus"),
    (
        "/ready",
        "200 while it listens, does not drain, and the upstream accepts",
    ),
    ("/live", "200 while every worker keeps up"),
    (
        "/connections",
        "the live ones, as JSON; ?limit=N&after=ID for a page of them",
    ),
    ("/", "this list"),
];

/// Every family, in the order of `/metrics`.
pub(crate) const METRICS: [Metric; 25] = [
    metric(
        "portamento_build_info",
        "version,revision",
        "What is running; always 1.",
    ),
    metric(
        "portamento_connections_accepted_total",
        "",
        "Connections accepted and handed to a worker.",
    ),
    metric(
        "portamento_connections_active",
        "",
        "Connections that the workers have now.",
    ),
    metric(
        "portamento_connections_closed_total",
        "by,reason",
        "Connections ended, by who ended them and why.",
    ),
    metric(
        "portamento_connections_rejected_total",
        "reason",
        "Connections reset because of a limit or a rule.",
    ),
    metric(
        "portamento_accept_errors_total",
        "errno",
        "Failed calls of accept(2).",
    ),
    metric(
        "portamento_connection_duration_seconds",
        "",
        "How long connections lived, from accept to their end.",
    ),
    metric(
        "portamento_upstream_connects_total",
        "result",
        "How reaching the upstream for a connection went, retries and all.",
    ),
    metric(
        "portamento_upstream_connect_duration_seconds",
        "",
        "From accept to a connected upstream.",
    ),
    metric(
        "portamento_bytes_total",
        "direction,path",
        "Bytes passed on, by direction and by the path that they took.",
    ),
    metric(
        "portamento_undelivered_bytes_total",
        "direction",
        "Of those, bytes that no peer had acknowledged when their connection was cut.",
    ),
    metric(
        "portamento_splice_fallbacks_total",
        "reason",
        "Directions that copied what they would have spliced.",
    ),
    metric(
        "portamento_pipes",
        "state",
        "Pipes of the workers, as of their last sweep, a second ago at most.",
    ),
    metric(
        "portamento_pipe_size_bytes",
        "",
        "Capacity that the kernel last granted a pipe; the least of the workers'.",
    ),
    metric(
        "portamento_forward_delay_seconds",
        "",
        "From a worker's wake-up to a write that followed it, sampled.",
    ),
    metric(
        "portamento_worker_connections",
        "worker",
        "Connections that a worker has now.",
    ),
    metric(
        "portamento_worker_stall_seconds_max",
        "",
        "The longest that a worker kept a tick waiting, in the last minute or two.",
    ),
    metric(
        "portamento_log_drops_total",
        "",
        "Log lines dropped because standard error did not take them, or not in time.",
    ),
    metric(
        "portamento_draining",
        "",
        "1 once the process has been told to end.",
    ),
    metric(
        "process_cpu_seconds_total",
        "",
        "User and system CPU time spent.",
    ),
    metric("process_resident_memory_bytes", "", "Resident memory."),
    metric("process_virtual_memory_bytes", "", "Virtual memory."),
    metric("process_open_fds", "", "Open file descriptors."),
    metric("process_max_fds", "", "The limit on them."),
    metric(
        "process_start_time_seconds",
        "",
        "When the process started, in seconds since 1970.",
    ),
];

impl Metric {
    /// With its labels, as it is shown to a reader: `name{label}`.
    pub(crate) fn shown(&self) -> String {
        match self.labels {
            "" => self.name.to_owned(),
            labels => format!("{}{{{labels}}}", self.name),
        }
    }
}

/// Both lists, as `--help` ends with them.
pub(crate) fn help() -> String {
    let mut text = "Endpoints of --admin:\n".to_owned();
    for (path, help) in ENDPOINTS {
        line(&mut text, path, help);
    }
    text += "\nMetrics:\n";
    for metric in METRICS {
        line(&mut text, &metric.shown(), metric.help);
    }
    text
}

fn line(text: &mut String, name: &str, help: &str) {
    // A String takes all that is written to it.
    writeln!(text, "  {name}\n          {help}").ok();
}
