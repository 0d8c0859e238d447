//! Leaving a port that a successor has, too, without a refused client.

use std::{io, os::fd::OwnedFd, time::Duration};

use socket2::{SockFilter, SockRef};

/// How long a handshake that had begun may take to end: a round trip to a client in the same
/// cluster. A longer time would send more newcomers on, each of whom loses a second.
pub(crate) const HANDSHAKE: Duration = Duration::from_millis(5);

/// Has the kernel drop the SYNs that this listener is still sent. A client takes that for a loss
/// and sends another within a second, when the port is the successor's alone. Whoever the kernel
/// has let in, or half in, is not affected.
///
/// Without this, whoever dials between the last accept(2) and close(2) is reset. The filter is a
/// classic BPF program of five instructions, which needs no privilege.
///
/// # Errors
/// What setsockopt(2) fails with.
pub(crate) fn send_newcomers_on(listener: &OwnedFd) -> io::Result<()> {
    // Opcodes of linux/bpf_common.h; a TCP socket's filter sees the segment from its header on.
    const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
    const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
    const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const FLAGS: u32 = 13; // where the header has them
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),        // drop
        SockFilter::new(RETURN, 0, 0, u32::MAX), // keep all of it
    ])
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{SocketAddr, TcpListener, TcpStream},
    };

    use rustix::{
        io::Errno,
        net::{AddressFamily, bind, connect, listen, sockopt},
    };

    use super::*;
    use crate::sys;

    fn sharing(addr: SocketAddr) -> TcpListener {
        let socket = sys::stream_socket(AddressFamily::INET).unwrap();
        sockopt::set_socket_reuseport(&socket, true).unwrap();
        bind(&socket, &addr).unwrap();
        listen(&socket, 64).unwrap();
        socket.into()
    }

    /// Sends a SYN and does not wait for the answer.
    fn dial(addr: SocketAddr) -> OwnedFd {
        let socket = sys::stream_socket(AddressFamily::INET).unwrap();
        assert_eq!(connect(&socket, &addr), Err(Errno::INPROGRESS));
        socket
    }

    #[test]
    fn newcomers_go_to_the_successor_and_those_let_in_stay() {
        let leaving = sharing(([127, 0, 0, 1], 0).into());
        let addr = leaving.local_addr().unwrap();
        let mut early = TcpStream::connect(addr).unwrap(); // waits in the backlog
        let successor = sharing(addr);
        successor.set_nonblocking(false).unwrap();
        SockRef::from(&successor)
            .set_read_timeout(Some(Duration::from_secs(20))) // it bounds accept(2) too
            .unwrap();

        let leaving = OwnedFd::from(leaving);
        send_newcomers_on(&leaving).unwrap();
        let dials: Vec<_> = (0..16).map(|_| dial(addr)).collect();
        let leaving = TcpListener::from(leaving);
        early.write_all(b"!").unwrap();
        let (mut accepted, _) = leaving.accept().unwrap();
        accepted.set_nonblocking(false).unwrap();
        accepted.read_exact(&mut [0]).unwrap();
        assert!(leaving.accept().is_err()); // nobody else was let in
        drop(leaving);
        for _ in &dials {
            successor.accept().unwrap(); // some with their second SYN
        }
    }
}
