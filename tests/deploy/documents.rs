//! Every command line that the pages show is one that the programs understand, and every link leads
//! somewhere.

use clap::{CommandFactory, Parser, error::ErrorKind};
use portamento::cli::Args;

use crate::{
    pages::{Block, anchors, blocks, links, pages, spans},
    repository,
};

/// A command line of one of our programs.
pub(crate) struct Line {
    page: String,
    words: Vec<String>,
}

/// Words that may stand before a program's name.
const BEFORE: [&str; 6] = ["sudo", "nice", "exec", "time", "env", "systemd-run"];

/// What ends a command for the shell.
const ENDS: [&str; 9] = ["|", "||", "&", "&&", ";", ">", ">>", "<", "2>"];

#[test]
fn every_command_line_on_a_page_is_understood() {
    let mut seen = 0;
    for page in pages() {
        for line in blocks(&page)
            .iter()
            .flat_map(|block| command_lines(&page, block_lines(block)))
        {
            assert_understood(&line);
            seen += 1;
        }
    }
    assert!(seen > 12, "only {seen} were found");
}

#[test]
fn every_flag_in_a_sentence_exists() {
    let mut seen = 0;
    for page in pages() {
        for span in spans(&page) {
            for line in command_lines(&page, [span.replace("\\|", "|")]) {
                seen += 1;
                assert_flags_exist(&line);
            }
        }
    }
    assert!(seen > 12, "only {seen} were found");
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    for page in pages() {
        for link in links(&page) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
            let target = match path {
                "" => page.clone(),
                path => format!("{folder}/{path}"),
            };
            let target = target.trim_start_matches('/');
            assert!(repository(target).exists(), "{page}: {link}");
            if !anchor.is_empty() {
                assert!(
                    anchors(target).iter().any(|known| known == anchor),
                    "{page}: {link}"
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} were found");
}

#[test]
fn a_line_with_a_wrong_flag_would_be_found() {
    let lines = ["kubectl exec live-store-0 -- /portamento check --rung http://x:1 | grep error"];
    let [line] = command_lines("a page", lines.map(str::to_owned))
        .try_into()
        .ok()
        .unwrap();
    assert_eq!(line.words, ["portamento", "check", "--rung", "http://x:1"]);
    assert!(std::panic::catch_unwind(|| assert_understood(&line)).is_err());
    assert!(std::panic::catch_unwind(|| assert_flags_exist(&line)).is_err());
}

/// The lines of a block that a reader would type.
fn block_lines(block: &Block) -> Vec<String> {
    let whole = block.text.replace("\\\n", " ");
    match block.kind.as_str() {
        "sh" | "bash" | "shell" => whole.lines().map(str::to_owned).collect(),
        // There the prompt tells what is typed from what is answered.
        "text" | "console" => {
            let typed = whole.lines().filter_map(|line| line.strip_prefix("$ "));
            typed.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// The commands of ours among them, and those within what is quoted for `--proxy`.
pub(crate) fn command_lines(page: &str, lines: impl IntoIterator<Item = String>) -> Vec<Line> {
    let mut found = Vec::new();
    for line in lines {
        let words: Vec<_> = shlex::split(&line).unwrap_or_default();
        for command in words.split(|word| ENDS.contains(&word.as_str())) {
            let Some(words) = ours(command) else { continue };
            for quoted in words.iter().filter_map(|word| word.split_once('=')) {
                let inner = quoted.1.replace("{listen}", "127.0.0.1:1");
                let inner = inner.replace("{upstream}", "127.0.0.1:2");
                if inner.contains(' ') {
                    found.extend(command_lines(page, [inner]));
                }
            }
            let page = page.to_owned();
            let words = words.iter().flat_map(|word| expanded(word)).collect();
            found.push(Line { page, words });
        }
    }
    found
}

/// What a shell makes of a word: of a pattern several.
fn expanded(word: &str) -> Vec<String> {
    match word.contains('*') {
        true => ["1", "2"].map(|part| word.replace('*', part)).to_vec(),
        false => vec![word.to_owned()],
    }
}

/// The words of a command from our program's name on, if it is one.
fn ours(command: &[String]) -> Option<Vec<String>> {
    let is_flag = |word: &&String| word.starts_with('-');
    if command.first()? == "cargo" && command.get(1)? == "run" {
        let (before, after) = command.split_at(command.iter().position(|word| word == "--")?);
        let program = if before.iter().any(|word| word == "loadtest") {
            "loadtest"
        } else {
            "portamento"
        };
        let args = after[1..].iter().cloned();
        return Some([program.to_owned()].into_iter().chain(args).collect());
    }
    let mut start = command
        .iter()
        .position(|word| !word.contains('=') && !BEFORE.contains(&word.as_str()))?;
    if let Some(separator) = command.iter().position(|word| word == "--") {
        start = separator + 1; // kubectl exec POD -- COMMAND
    }
    let name = command.get(start)?.rsplit('/').next()?;
    let rest = &command[start + 1..];
    let known = ["portamento", "loadtest"].contains(&name);
    // A program's bare name in a sentence is no command.
    (known && (rest.iter().any(|word| is_flag(&word)) || rest.len() == 1)).then(|| {
        [name.to_owned()]
            .into_iter()
            .chain(rest.iter().cloned())
            .collect()
    })
}

/// Has the program's own parser read the line.
pub(crate) fn assert_understood(line: &Line) {
    let error = match line.words[0].as_str() {
        "portamento" => Args::try_parse_from(&line.words).err(),
        _ => loadtest::cli::Cli::try_parse_from(&line.words).err(),
    };
    if let Some(error) = error {
        let asked = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&error.kind());
        assert!(asked, "{}: {:?}\n{error}", line.page, line.words);
    }
}

/// Looks each flag up, whatever placeholder stands for its value.
fn assert_flags_exist(line: &Line) {
    let program = match line.words[0].as_str() {
        "portamento" => Args::command(),
        _ => loadtest::cli::Cli::command(),
    };
    let named = line.words.get(1);
    let named = named.and_then(|name| program.find_subcommand(name));
    // Without a subcommand it is the forwarder's flag, or a flag that several of loadtest's have.
    let commands: Vec<_> = named.map_or_else(
        || program.get_subcommands().chain([&program]).collect(),
        |command| vec![command],
    );
    for word in line.words.iter().filter(|word| word.starts_with("--")) {
        let flag = word.trim_start_matches("--").split('=').next().unwrap();
        let flags = commands.iter().flat_map(|command| command.get_arguments());
        let mut flags = flags.filter_map(|arg| arg.get_long());
        let known = ["help", "version"].contains(&flag) || flags.any(|known| known == flag);
        assert!(known, "{}: {:?} has no {word}", line.page, line.words);
    }
}
