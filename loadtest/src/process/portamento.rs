//! Finding the `portamento` binary, building it when run by cargo.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// The binary's name, the same in each place.
const NAME: &str = "portamento";

/// The `portamento` to measure: `given`; else, when cargo runs this program, one built now from
/// the workspace with this program's profile; else the one beside this executable; else the one
/// in `PATH`.
///
/// # Errors
/// When there is none, or it does not build.
pub(crate) fn find(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = given {
        return match path.is_file() {
            true => Ok(path.to_owned()),
            false => bail!("--portamento {}: no such file", path.display()),
        };
    }
    let executable = env::current_exe().context("cannot find this executable")?;
    if let Some(build) = Build::by_cargo(&executable) {
        return build.run();
    }
    let sibling = executable.with_file_name(NAME);
    let sibling = sibling.is_file().then_some(sibling);
    sibling.or_else(|| super::in_path(NAME)).context(
        "no portamento binary: neither beside this executable nor in PATH; \
             name it with --portamento PATH",
    )
}

/// A build of the binary into the folder where this executable lies.
#[derive(Debug, PartialEq, Eq)]
struct Build {
    cargo: OsString,
    workspace: PathBuf,
    /// The target folder, which holds `folder`.
    target: PathBuf,
    /// `debug`, `release` or the name of another profile.
    folder: String,
}

impl Build {
    /// Cargo tells the programs that it runs where it is, and the folder of their package.
    fn by_cargo(executable: &Path) -> Option<Self> {
        let cargo = env::var_os("CARGO")?;
        let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
        let workspace = package.parent()?;
        let is_workspace = workspace.join("Cargo.toml").is_file() && workspace.join("src").is_dir();
        is_workspace.then(|| Self::beside(executable, cargo, workspace))?
    }

    fn beside(executable: &Path, cargo: OsString, workspace: &Path) -> Option<Self> {
        let mut folder = executable.parent()?;
        if folder.ends_with("deps") {
            folder = folder.parent()?; // where tests lie
        }
        Some(Self {
            cargo,
            workspace: workspace.to_owned(),
            target: folder.parent()?.to_owned(),
            folder: folder.file_name()?.to_str()?.to_owned(),
        })
    }

    fn run(&self) -> anyhow::Result<PathBuf> {
        let mut command = self.command();
        let shown = super::shown(&command);
        let status = command
            .status()
            .with_context(|| format!("cannot run {shown}"))?;
        if !status.success() {
            bail!("cannot build portamento ({status}): {shown}");
        }
        Ok(self.target.join(&self.folder).join(NAME))
    }

    fn command(&self) -> Command {
        let profile = match self.folder.as_str() {
            "debug" => "dev",
            folder => folder,
        };
        let mut command = Command::new(&self.cargo);
        command
            .args([
                "build",
                "--quiet",
                "--package",
                NAME,
                "--bin",
                NAME,
                "--profile",
                profile,
            ])
            .arg("--target-dir")
            .arg(&self.target)
            .current_dir(&self.workspace);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_beside(executable: &str) -> String {
        let build = Build::beside(Path::new(executable), "cargo".into(), Path::new("/ws")).unwrap();
        super::super::shown(&build.command())
    }

    #[test]
    fn the_build_has_this_programs_profile_and_place() {
        let start = "cargo build --quiet --package portamento --bin portamento";
        assert_eq!(
            built_beside("/t/debug/loadtest"),
            format!("{start} --profile dev --target-dir /t")
        );
        assert_eq!(
            built_beside("/t/release/deps/loadtest-0"),
            format!("{start} --profile release --target-dir /t")
        );
    }

    #[test]
    fn a_path_that_is_no_file_is_an_error() {
        let error = find(Some(Path::new("/no/such/portamento"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--portamento /no/such/portamento: no such file"
        );
    }
}
