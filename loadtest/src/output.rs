//! Where a report goes: the table to the terminal, other forms to files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::cli::{HdrArgs, OutputArgs};
use crate::report::AnyReport;

/// The files that the flags name, each with the form that goes there.
#[derive(Debug)]
pub struct Outputs<'a>(Vec<(&'static str, Form, &'a Path)>);

type Form = fn(&AnyReport) -> anyhow::Result<String>;

impl<'a> Outputs<'a> {
    /// Those of `args`, and of `hdr` where the command has it. What cannot be written is found
    /// here, before the run.
    ///
    /// # Errors
    /// Which flag names what cannot be written, and why.
    pub fn new(args: &'a OutputArgs, hdr: Option<&'a HdrArgs>) -> anyhow::Result<Self> {
        let html: Form = |report| Ok(report.html());
        let all = [
            ("--json", AnyReport::json as Form, args.json.as_deref()),
            ("--html", html, args.html.as_deref()),
            ("--csv", AnyReport::csv, args.csv.as_deref()),
            (
                "--hdr",
                AnyReport::hdr,
                hdr.and_then(|args| args.hdr.as_deref()),
            ),
        ];
        let named = all
            .into_iter()
            .filter_map(|(flag, form, path)| Some((flag, form, path?)));
        let own = Self(named.collect());
        for (place, (flag, _, path)) in own.0.iter().enumerate() {
            if let Some((other, ..)) = own.0[..place].iter().find(|(_, _, other)| other == path) {
                bail!("{other} and {flag} both name {}", path.display());
            }
            if !is_stdout(path) {
                check(path).with_context(|| format!("{flag}: cannot write {}", path.display()))?;
            }
        }
        Ok(own)
    }

    /// Prints the table of `report`, and writes the rest.
    ///
    /// # Errors
    /// When something cannot be written all the same.
    pub fn write(&self, report: &AnyReport) -> anyhow::Result<()> {
        let table = report.table();
        match self.0.iter().any(|(_, _, path)| is_stdout(path)) {
            true => io::stderr().lock().write_all(table.as_bytes())?,
            false => io::stdout().lock().write_all(table.as_bytes())?,
        }
        for (flag, form, path) in &self.0 {
            let text = form(report).with_context(|| (*flag).to_owned())?;
            match is_stdout(path) {
                true => io::stdout().lock().write_all(text.as_bytes())?,
                false => fs::write(path, text)
                    .with_context(|| format!("{flag}: cannot write {}", path.display()))?,
            }
        }
        Ok(())
    }
}

fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether `path` can be written, without touching what is there.
fn check(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        bail!("it is a folder");
    }
    if path.exists() {
        // Opened, for this also finds a file system that is mounted read-only.
        let opened: io::Result<File> = OpenOptions::new().append(true).open(path);
        return opened.map(drop).map_err(Into::into);
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or_else(|| Path::new("."));
    if !folder.is_dir() {
        bail!("no such folder");
    }
    // Made and gone at once, for permissions alone do not tell.
    let made = tempfile::tempfile_in(folder);
    made.map(drop).context("the folder takes no file")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(json: &Path, csv: &Path) -> String {
        let args = OutputArgs {
            json: Some(json.to_owned()),
            html: None,
            csv: Some(csv.to_owned()),
        };
        Outputs::new(&args, None).map_or_else(|error| format!("{error:#}"), |_| String::new())
    }

    #[test]
    fn what_cannot_be_written_is_found_and_what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&file, "kept").unwrap();
        assert_eq!(why(&file, &other), "");
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
        assert!(!other.exists());

        let nowhere = Path::new("/no/such/folder/report");
        assert_eq!(
            why(nowhere, &other),
            "--json: cannot write /no/such/folder/report: no such folder"
        );
        assert!(why(&file, folder.path()).ends_with("it is a folder"));
        assert!(why(&file, &file).starts_with("--json and --csv both name "));
        assert_eq!(
            why(Path::new("-"), Path::new("-")),
            "--json and --csv both name -"
        );
        // Also root cannot create a file there.
        assert!(why(&file, Path::new("/proc/report")).contains("--csv: cannot write"));
    }
}
