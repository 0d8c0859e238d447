//! Other people's programs.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::{eventually, skip};

/// A server of somebody else's, on a free port. Dropping it kills it.
pub(crate) struct Foreign {
    child: Child,
    pub(crate) addr: SocketAddr,
}

impl Foreign {
    /// Starts `program` with the arguments made from its port, and waits until it accepts. `None`,
    /// with a word to say why, where there is no such program.
    pub(crate) fn start(program: &str, args: impl Fn(u16) -> Vec<String>) -> Option<Self> {
        if !installed(program) {
            return None;
        }
        let addr = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let child = Command::new(program)
            .args(args(addr.port()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the server accepts", || TcpStream::connect(addr).is_ok());
        Some(Self { child, addr })
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whether there is such a program; says so where there is none.
pub(crate) fn installed(program: impl AsRef<Path>) -> bool {
    let program = program.as_ref();
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        skip(&format!("{} is not installed", program.display()));
    }
    found
}
