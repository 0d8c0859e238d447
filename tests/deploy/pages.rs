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

/// The README and everything in `docs/`.
pub(crate) fn pages() -> Vec<String> {
    let docs = fs::read_dir(repository("docs")).unwrap();
    let mut pages: Vec<_> = docs
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("docs/{name}"))
        .collect();
    pages.extend(["README.md".to_owned(), "CONTRIBUTING.md".to_owned()]);
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
