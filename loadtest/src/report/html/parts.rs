//! Parts that all pages have.

use maud::{Markup, html};

use crate::report::{Environment, Merged};
use crate::units::short;

/// A fact in large letters.
pub(super) struct Card {
    /// What it is about.
    pub(super) label: String,
    /// The fact.
    pub(super) value: String,
    /// What there is to say of it.
    pub(super) note: String,
    /// Whether it is good, where it can be good or bad.
    pub(super) is_good: Option<bool>,
}

impl Card {
    /// One that is neither good nor bad.
    pub(super) fn plain(label: &str, value: String, note: String) -> Self {
        Self {
            label: label.to_owned(),
            value,
            note,
            is_good: None,
        }
    }
}

/// Cards beside each other.
pub(super) fn cards(cards: &[Card]) -> Markup {
    html! {
        section.cards aria-label="In short" {
            @for card in cards {
                div.card.good[card.is_good == Some(true)].bad[card.is_good == Some(false)] {
                    p.label { (card.label) }
                    p.value {
                        @match card.is_good {
                            Some(true) => span.sign aria-hidden="true" { "✓ " },
                            Some(false) => span.sign aria-hidden="true" { "✗ " },
                            None => {},
                        }
                        (card.value)
                    }
                    p.note { (card.note) }
                }
            }
        }
    }
}

/// What to know before trusting the figures; nothing where there is nothing.
pub(super) fn notices(title: &str, class: &str, texts: &[String]) -> Markup {
    html! {
        @if !texts.is_empty() {
            section class={ "notices " (class) } {
                h2 { (title) }
                ul { @for text in texts { li { (text) } } }
            }
        }
    }
}

/// The colours of the targets.
pub(super) fn legend(names: &[(usize, String)]) -> Markup {
    html! {
        ul.legend aria-label="Colours" {
            @for (series, name) in names {
                li {
                    svg aria-hidden="true" focusable="false" width="26" height="10" {
                        path class={ "curve s" (series) } d="M1 5H25" {}
                    }
                    (name)
                }
            }
        }
    }
}

/// Names and what they stand for.
pub(super) fn facts(facts: &[(&str, String)]) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

/// Where it ran.
pub(super) fn environment(environment: &Environment) -> Markup {
    let Environment {
        version,
        debug_build,
        kernel,
        cpu,
        cpus,
        congestion_control,
    } = environment;
    let build = if *debug_build { " (debug build)" } else { "" };
    facts(&[
        ("loadtest", format!("{version}{build}")),
        ("kernel", kernel.clone()),
        ("processor", cpu.clone()),
        ("CPUs usable", cpus.to_string()),
        ("congestion control", congestion_control.clone()),
    ])
}

/// The reports that a merged one is made of; nothing where it is from a run.
pub(super) fn merged(all: &[Merged]) -> Markup {
    html! {
        @for part in all {
            h3 { "Merged: " (part.file) }
            p.hint { (short(part.took_s)) " s from " time { (part.started_at) } "." }
            (environment(&part.environment))
            (listing("Its run", &shell(&part.command)))
        }
    }
}

/// Text to copy, below a title.
pub(super) fn listing(title: &str, text: &str) -> Markup {
    html! {
        h3 { (title) }
        pre tabindex="0" { code { (text) } }
    }
}

/// A command line as a shell reads it.
pub(super) fn shell(command: &[String]) -> String {
    let words = command.iter().map(|word| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.+:,=@%".contains(c);
        match !word.is_empty() && word.chars().all(is_plain) {
            true => word.clone(),
            false => format!("'{}'", word.replace('\'', r"'\''")),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A number of things, with thousands apart.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}'); // a narrow space that does not break
        }
        text.push(digit);
    }
    text
}
