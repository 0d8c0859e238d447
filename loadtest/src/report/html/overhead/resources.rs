//! How often, and at what cost.

use maud::{Markup, html};

use crate::report::Report;
use crate::report::html::bar::{bar, most};
use crate::report::html::parts::thousands;
use crate::units::{bytes, short, span};

/// Rates, and CPU of a call; what else is known of the proxies' processes.
pub(super) fn section(report: &Report) -> Markup {
    let machine = most(
        report
            .targets
            .iter()
            .map(|target| Some(target.machine_cpu_us_per_request)),
    );
    let rate = most(
        report
            .targets
            .iter()
            .map(|target| Some(target.achieved_per_s)),
    );
    html! {
        section {
            h2 { "Rate and CPU" }
            p.hint {
                "CPU of a call: the strong part is the proxy's own, the faint one the whole \
                 machine's, client and backend included."
            }
            table.bars {
                thead {
                    tr {
                        th scope="col" { "target" }
                        th.picture aria-hidden="true" {}
                        th.number scope="col" { "calls/s" }
                        th.picture aria-hidden="true" {}
                        th.number scope="col" { "CPU of a call: proxy / machine" }
                    }
                }
                tbody {
                    @for (series, target) in report.targets.iter().enumerate() {
                        @let proxy = report.proxies.iter().find(|proxy| proxy.name == target.target);
                        @let own = proxy.map(|proxy| proxy.cpu_us_per_request);
                        @let all = target.machine_cpu_us_per_request;
                        tr {
                            th scope="row" { (target.target) }
                            td.picture { (bar(series, Some(target.achieved_per_s), target.offered_per_s, rate)) }
                            td.number {
                                strong { (short(target.achieved_per_s)) }
                                @if let Some(offered) = target.offered_per_s {
                                    " of " (short(offered)) " offered"
                                }
                                @if target.unsent > 0 { ", " (thousands(target.unsent)) " unsent" }
                            }
                            td.picture { (bar(series, own, Some(all), machine)) }
                            td.number {
                                strong { (own.map_or_else(|| "–".to_owned(), |us| span(us * 1e3))) }
                                " / " (span(all * 1e3))
                            }
                        }
                    }
                }
            }
            (processes(report))
        }
    }
}

fn processes(report: &Report) -> Markup {
    html! {
        @if report.proxies.is_empty() {
            p.hint { "The proxy's own CPU and memory are unknown, for this run did not start it." }
        } @else {
            div.wide {
                table.figures {
                    thead {
                        tr {
                            th scope="col" { "proxy" }
                            @for name in ["CPU, s/GiB", "switches/call", "syscalls/call", "resident", "peak"] {
                                th.number scope="col" { (name) }
                            }
                        }
                    }
                    tbody {
                        @for proxy in &report.proxies {
                            tr {
                                th scope="row" { (proxy.name) }
                                td.number { (short(proxy.cpu_s_per_gib)) }
                                td.number { (short(proxy.switches_per_request)) }
                                td.number {
                                    (proxy.syscalls_per_request.map_or_else(|| "–".to_owned(), short))
                                }
                                td.number { (bytes(proxy.rss_bytes)) }
                                td.number { (bytes(proxy.peak_rss_bytes)) }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(why) = &report.syscalls_unavailable {
            p.hint { "System calls were not counted, for " (why) "." }
        }
    }
}
