//! What is in the pages: their code, block by block.

use std::fs;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use crate::repository;

/// A fenced block of code.
pub(crate) struct Block {
    /// What the fence says it is.
    pub(crate) kind: String,
    pub(crate) text: String,
}

/// The READMEs and everything in `docs/`.
pub(crate) fn pages() -> Vec<String> {
    let docs = fs::read_dir(repository("docs")).unwrap();
    let mut pages: Vec<_> = docs
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("docs/{name}"))
        .collect();
    let others = [
        "README.md",
        "CONTRIBUTING.md",
        "deploy/kubernetes/README.md",
    ];
    pages.extend(others.map(str::to_owned));
    pages.sort();
    pages
}

/// The fenced blocks of a page.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for event in Parser::new(&crate::read(page)) {
        match (event, &mut open) {
            (Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(kind))), _) => {
                open = Some(Block {
                    kind: kind.into_string(),
                    text: String::new(),
                });
            }
            (Event::Text(text), Some(block)) => block.text += &text,
            (Event::End(TagEnd::CodeBlock), _) => blocks.extend(open.take()),
            _ => {}
        }
    }
    blocks
}

/// The spans of code within the sentences of a page.
pub(crate) fn spans(page: &str) -> Vec<String> {
    let page = crate::read(page);
    let spans = Parser::new(&page).filter_map(|event| match event {
        Event::Code(code) => Some(code.into_string()),
        _ => None,
    });
    spans.collect()
}

/// Where the links of a page lead, but for those to other sites.
pub(crate) fn links(page: &str) -> Vec<String> {
    let page = crate::read(page);
    let links = Parser::new(&page).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. }) => Some(dest_url.into_string()),
        _ => None,
    });
    links.filter(|link| !link.contains("://")).collect()
}

/// The anchors that a page's headings have where Markdown is shown.
pub(crate) fn anchors(page: &str) -> Vec<String> {
    let page = crate::read(page);
    let mut heading: Option<String> = None;
    let mut anchors = Vec::new();
    for event in Parser::new(&page) {
        match (event, &mut heading) {
            (Event::Start(Tag::Heading { .. }), _) => heading = Some(String::new()),
            (Event::Text(text) | Event::Code(text), Some(heading)) => *heading += &text,
            (Event::End(TagEnd::Heading(_)), _) => {
                anchors.extend(heading.take().map(|text| slug(&text)));
            }
            _ => {}
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    let letters = heading.to_lowercase().replace(' ', "-");
    letters
        .chars()
        .filter(|c| c.is_alphanumeric() || "-_".contains(*c))
        .collect()
}
