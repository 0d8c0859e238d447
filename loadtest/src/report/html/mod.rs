//! A report as one page that needs nothing else: no script, no network, no font but the reader's.
//!
//! maud writes it: what is put into the page is escaped by its type, wherever it comes from.
//! Charts are SVG of our own. Text in them keeps its size on a phone, so wide ones stretch between
//! fixed labels (`strip`, `bar`), and high ones are small and many (`curves`).

mod bar;
mod compare;
mod curves;
mod matrix;
mod overhead;
mod parts;
mod scale;
mod scenario;
mod soak;
mod strip;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::AnyReport;

/// The page of `report`.
pub(super) fn page(report: &AnyReport) -> String {
    let Page {
        title,
        lede,
        content,
    } = match report {
        AnyReport::Overhead(report) => overhead::page(report),
        AnyReport::Measured(report) => compare::page(report),
        AnyReport::Soak(report) => soak::page(report),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // So that nothing is fetched or run, whatever a report holds.
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                link rel="icon" href="data:,";
                title { (title) " · loadtest " (report.kind()) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                header {
                    p.eyebrow { "loadtest " (report.kind()) }
                    h1 { (title) }
                    p.lede { (lede) }
                }
                main { (content) }
                footer {
                    p {
                        "Written by loadtest of portamento. The same report as data: "
                        code { "--json" } ", " code { "--csv" } ", " code { "--hdr" } "."
                    }
                }
            }
        }
    };
    page.into_string()
}

/// What differs between the pages of the commands.
struct Page {
    title: String,
    lede: Markup,
    content: Markup,
}

#[cfg(test)]
mod tests;
