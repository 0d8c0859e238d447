//! Paths of unix sockets, held against the file system before anything is bound.

use std::{
    fs, io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// Checks that a socket can be made at `path`, or made anew where one is.
///
/// A symbolic link is refused even where it leads to a socket: what is made anew is the file of
/// that name, not what it points to.
pub(crate) fn check_listen(path: &Path) -> Result<(), SocketFileError> {
    let parent = parent_of(path);
    match fs::metadata(parent) {
        Ok(metadata) if metadata.is_dir() => (),
        Ok(_) => return Err(SocketFileError::ParentNoDirectory(parent.to_owned())),
        Err(error) => {
            return Err(SocketFileError::Parent {
                parent: parent.to_owned(),
                error,
            });
        }
    }
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => Err(SocketFileError::NoSocket),
        // What cannot be looked at is for bind to report.
        _ => Ok(()),
    }
}

/// Checks that `path` is a socket, or not there yet.
pub(crate) fn check_upstream(path: &Path) -> Result<(), SocketFileError> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => Err(SocketFileError::NoSocket),
        // Absent for now, or for connect to report.
        _ => Ok(()),
    }
}

/// Whether two paths name the same file, there already or not.
pub(crate) fn same_file(a: &Path, b: &Path) -> bool {
    a == b || resolved(a) == resolved(b)
}

fn resolved(path: &Path) -> PathBuf {
    if let Ok(path) = fs::canonicalize(path) {
        return path;
    }
    match (fs::canonicalize(parent_of(path)), path.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

/// The directory of a file.
pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Why a path cannot be the unix socket that it should be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SocketFileError {
    /// There is something else at the path.
    #[error("exists and is not a socket; give the path of a socket, or one that is free")]
    NoSocket,
    /// The directory of a listener is something else.
    #[error("{} is not a directory; give a path in one that exists", .0.display())]
    ParentNoDirectory(PathBuf),
    /// The directory of a listener cannot be had.
    #[error("the directory {} cannot be used: {error}; it must exist", parent.display())]
    Parent {
        /// The directory.
        parent: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use super::*;

    #[test]
    fn a_listener_needs_a_directory_and_a_free_name() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let _socket = UnixListener::bind(at("socket")).unwrap();
        fs::write(at("file"), "").unwrap();
        symlink(at("socket"), at("link")).unwrap();

        assert!(check_listen(&at("free")).is_ok());
        assert!(check_listen(&at("socket")).is_ok());
        assert!(check_listen(Path::new("free.sock")).is_ok());
        for occupied in ["file", "link", "."] {
            let result = check_listen(&at(occupied));
            assert!(
                matches!(result, Err(SocketFileError::NoSocket)),
                "{occupied}: {result:?}"
            );
        }
        let result = check_listen(&at("file/x"));
        assert!(
            matches!(result, Err(SocketFileError::ParentNoDirectory(_))),
            "{result:?}"
        );
        let result = check_listen(&at("none/x"));
        assert!(
            matches!(result, Err(SocketFileError::Parent { .. })),
            "{result:?}"
        );
    }

    #[test]
    fn an_upstream_may_come_later_but_is_a_socket() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let _socket = UnixListener::bind(at("socket")).unwrap();
        fs::write(at("file"), "").unwrap();
        symlink(at("socket"), at("link")).unwrap();

        for fine in ["socket", "link", "free", "none/x"] {
            assert!(check_upstream(&at(fine)).is_ok(), "{fine}");
        }
        for wrong in ["file", "."] {
            let result = check_upstream(&at(wrong));
            assert!(
                matches!(result, Err(SocketFileError::NoSocket)),
                "{wrong}: {result:?}"
            );
        }
    }

    #[test]
    fn the_same_file_has_many_names() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        symlink(at("sub"), at("alias")).unwrap();

        assert!(same_file(&at("x"), &at("sub/../x")));
        assert!(same_file(&at("sub/x"), &at("alias/x")));
        assert!(same_file(Path::new("x.sock"), Path::new("./x.sock")));
        assert!(!same_file(&at("x"), &at("y")));
        assert!(!same_file(&at("x"), &at("sub/x")));
    }
}
