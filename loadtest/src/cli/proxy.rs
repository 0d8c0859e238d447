//! `--proxy [NAME=]COMMAND`: how a proxy is called and started.

use std::collections::HashSet;
use std::path::Path;
use std::str::FromStr;

use super::value::name;

/// A proxy that can be started: a shell command with placeholders.
///
/// `{listen}` and `{upstream}` are replaced by `IP:PORT`, `{listen_port}` and `{upstream_port}` by
/// the port alone, `{config}` by the path of a file that is written for this start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyCommand {
    /// As reports name it.
    pub name: String,
    /// The shell command.
    pub template: String,
    /// What the configuration file holds, with the same placeholders.
    pub config: Option<String>,
}

impl ProxyCommand {
    /// portamento with its defaults. The scheduling class is named, for it decides more than any other
    /// setting, and reports show the command.
    pub fn portamento(binary: &Path) -> Self {
        let binary = quoted(&binary.display().to_string());
        Self {
            name: "portamento".to_owned(),
            // Several run beside each other: each has an admin port of its own.
            template: format!(
                "{binary} --listen {{listen}} --upstream {{upstream}} --admin 127.0.0.1:0 \
                 --sched normal"
            ),
            config: None,
        }
    }
}

impl FromStr for ProxyCommand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = text
            .split_once('=')
            .filter(|(before, _)| !before.contains(|c: char| c.is_whitespace() || c == '{'));
        let (name, template) = match named {
            Some((text, template)) => (name(text)?, template.trim()),
            None => (program(text)?, text.trim()),
        };
        if template.is_empty() {
            return Err("the command is missing".to_owned());
        }
        for placeholder in ["listen", "upstream"] {
            let forms = [
                format!("{{{placeholder}}}"),
                format!("{{{placeholder}_port}}"),
            ];
            if !forms.iter().any(|form| template.contains(form)) {
                return Err(format!("{} is missing", forms[0]));
            }
        }
        Ok(Self {
            name,
            template: template.to_owned(),
            config: None,
        })
    }
}

/// One word of a shell command, in quotes where it needs them.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.+".contains(c);
    match word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Whether the names tell the proxies apart.
pub(super) fn distinct(proxies: &[ProxyCommand]) -> Result<(), String> {
    let mut names = HashSet::from(["direct", "null"]);
    match proxies.iter().find(|proxy| !names.insert(&proxy.name)) {
        None => Ok(()),
        Some(ProxyCommand { name, .. }) => Err(format!(
            "--proxy: the name '{name}' is taken; give another as NAME=COMMAND"
        )),
    }
}

/// The name that a nameless command gets: that of its program.
fn program(command: &str) -> Result<String, String> {
    let word = command.split_whitespace().next().unwrap_or_default();
    let file = word.rsplit('/').next().unwrap_or_default();
    name(file).map_err(|_| "name it: NAME=COMMAND".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, String) {
        let ProxyCommand { name, template, .. } = text.parse().unwrap();
        (name, template)
    }

    #[test]
    fn a_name_is_taken_from_the_front_or_from_the_program() {
        let command = "nc -x {listen} {upstream}".to_owned();
        let pair = |name: &str| (name.to_owned(), command.clone());
        assert_eq!(parsed(&format!("relay-2={command}")), pair("relay-2"));
        assert_eq!(parsed(&command), pair("nc"));
        let socat = "/usr/bin/socat TCP-LISTEN:{listen_port},bind=127.0.0.1 TCP:{upstream}";
        assert_eq!(parsed(socat), ("socat".to_owned(), socat.to_owned()));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |text: &str| text.parse::<ProxyCommand>().unwrap_err();
        assert_eq!(error("a {listen}"), "{upstream} is missing");
        assert_eq!(error("a=b {upstream_port}"), "{listen} is missing");
        assert_eq!(error("a="), "the command is missing");
        assert_eq!(
            error("'my proxy' {listen} {upstream}"),
            "name it: NAME=COMMAND"
        );
        assert!(error("seventeen-letters={listen}").contains("16"));
    }

    #[test]
    fn a_path_stays_one_word() {
        let template = |path: &str| ProxyCommand::portamento(Path::new(path)).template;
        assert!(template("/a/b").starts_with("/a/b --listen {listen}"));
        assert!(template("/a b/it's").starts_with(r"'/a b/it'\''s' --listen"));
    }

    #[test]
    fn names_are_told_apart() {
        let [a, b]: [ProxyCommand; 2] =
            ["a={listen}{upstream}", "b={listen}{upstream}"].map(|text| text.parse().unwrap());
        assert_eq!(distinct(&[a.clone(), b]), Ok(()));
        assert!(
            distinct(&[a.clone(), a])
                .unwrap_err()
                .contains("'a' is taken")
        );
    }
}
