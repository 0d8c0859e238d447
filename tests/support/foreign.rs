//! Other people's programs.

use std::{
    fs::File,
    io::{self, Read, Seek},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Pid;

use super::{PATIENCE, end, installed, listening_ports};

/// A server of somebody else's, on a free port. Dropping it kills it, and its workers.
pub(crate) struct Foreign {
    child: Child,
    pub(crate) addr: SocketAddr,
}

impl Foreign {
    /// Starts `program` with the arguments made from its port, and waits until it listens there.
    /// A port that was free may be somebody else's by then: so another one is tried. `None`, with a
    /// word to say why, where there is no such program.
    ///
    /// # Panics
    /// The program starts on none of some ports; what it printed is told.
    pub(crate) fn start(program: &str, args: impl Fn(u16) -> Vec<String>) -> Option<Self> {
        const PORTS: usize = 5;
        if !installed(program) {
            return None;
        }
        let mut failures = Vec::new();
        while failures.len() < PORTS {
            let port = free_port();
            match Self::start_at(port, Command::new(program).args(args(port))) {
                Ok(server) => return Some(server),
                Err(failure) => failures.push(format!("on port {port}: {failure}")),
            }
        }
        panic!("{program} does not start\n{}", failures.join("\n"));
    }

    /// Says how it ended, or that it never listened, and what it printed.
    fn start_at(port: u16, command: &mut Command) -> Result<Self, String> {
        // A file takes whatever a program prints: nobody has to read it meanwhile.
        let mut printed = tempfile::tempfile().unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(printed.try_clone().unwrap())
            .stderr(printed.try_clone().unwrap())
            .spawn()
            .unwrap();
        let mut server = Self {
            child,
            addr: (Ipv4Addr::LOCALHOST, port).into(),
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Whoever dials can't tell: somebody else may answer, and a server that takes one
            // client at a time is kept from the next.
            if listening_ports(Pid::from_child(&server.child)).contains(&port) {
                return Ok(server);
            }
            let ended = server.child.try_wait().unwrap();
            if ended.is_none() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(5)); // between two looks
                continue;
            }
            let how = match ended {
                Some(status) => format!("it ended ({status})"),
                None => "it does not listen".to_owned(),
            };
            return Err(format!("{how}, having printed:\n{}", text_of(&mut printed)));
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A port that nobody has at the moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn text_of(file: &mut File) -> String {
    let mut text = Vec::new();
    let read: io::Result<_> = file.rewind().and_then(|()| file.read_to_end(&mut text));
    read.unwrap();
    String::from_utf8_lossy(&text).into_owned()
}
