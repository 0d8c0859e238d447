//! Lines, written whole or counted as lost.

use std::{
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::event::{PollFd, PollFlags, poll};

/// Takes lines, one with each call of `write`, and never fails: a line that can't be written, since
/// the disk is full or the reader gone, counts as lost.
pub(super) struct Lines<W> {
    to: W,
    lost: &'static AtomicU64,
    /// The last line was cut short, so that the next has to begin on a new one.
    cut: bool,
}

impl<W: Write + AsFd> Lines<W> {
    pub(super) fn new(to: W, lost: &'static AtomicU64) -> Self {
        let cut = false;
        Self { to, lost, cut }
    }

    /// Writes all of a line, however little goes at a time, and waits for room.
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        let mut rest = line;
        while !rest.is_empty() {
            match self.to.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    rest = &rest[count..];
                    self.cut = !rest.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody else who has the same pipe or terminal made it non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&self.to, PollFlags::OUT)], None)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl<W: Write + AsFd> Write for Lines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = match self.cut {
            true => self.put(&[b"\n", line].concat()),
            false => self.put(line),
        };
        if written.is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // nothing is held
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        fs::OpenOptions,
        io::{Read, pipe},
        os::{
            fd::{BorrowedFd, OwnedFd},
            unix::net::UnixStream,
        },
        thread,
    };

    use super::*;

    /// Takes so many bytes of each write, or fails it.
    struct Scripted {
        script: VecDeque<Result<usize, ErrorKind>>,
        got: Vec<u8>,
        fd: OwnedFd,
    }

    impl Scripted {
        fn of(script: impl IntoIterator<Item = Result<usize, ErrorKind>>) -> Self {
            Self {
                script: script.into_iter().collect(),
                got: Vec::new(),
                fd: pipe().unwrap().1.into(),
            }
        }
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let most = self.script.pop_front().unwrap_or(Ok(usize::MAX))?;
            let count = most.min(bytes.len());
            self.got.extend(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl AsFd for Scripted {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.fd.as_fd()
        }
    }

    /// What arrives of three lines, and how many are lost.
    fn written(script: impl IntoIterator<Item = Result<usize, ErrorKind>>) -> (String, u64) {
        let lost = Box::leak(Box::new(AtomicU64::new(0)));
        let mut lines = Lines::new(Scripted::of(script), lost);
        for line in ["one\n", "two\n", "three\n"] {
            lines.write_all(line.as_bytes()).unwrap();
        }
        let got = String::from_utf8(lines.to.got).unwrap();
        (got, lost.load(Ordering::Relaxed))
    }

    #[test]
    fn what_is_written_in_pieces_is_whole() {
        let whole = ("one\ntwo\nthree\n".to_owned(), 0);
        assert_eq!(written([]), whole);
        assert_eq!(written([Ok(1), Ok(2), Ok(1), Ok(3)]), whole);
        assert_eq!(written([Err(ErrorKind::Interrupted), Ok(2)]), whole);
    }

    #[test]
    fn a_line_that_is_lost_counts_and_one_that_is_cut_is_nobody_elses_beginning() {
        let full = || Err(ErrorKind::StorageFull);
        assert_eq!(written([full()]), ("two\nthree\n".to_owned(), 1));
        let cut = ("on\ntwo\nthree\n".to_owned(), 1);
        assert_eq!(written([Ok(2), full()]), cut);
        let cut = ("on\nthree\n".to_owned(), 2);
        assert_eq!(written([Ok(2), full(), full()]), cut);
        let cut = ("on\n\nthree\n".to_owned(), 2);
        assert_eq!(written([Ok(2), full(), Ok(1), full()]), cut);
        assert_eq!(written([Ok(0), Ok(0), Ok(0)]), (String::new(), 3));
    }

    #[test]
    fn a_full_disk_loses_and_a_full_pipe_waits() {
        let lost = Box::leak(Box::new(AtomicU64::new(0)));
        let disk = OpenOptions::new().write(true).open("/dev/full").unwrap();
        Lines::new(disk, lost).write_all(b"line\n").unwrap();
        assert_eq!(lost.load(Ordering::Relaxed), 1);

        let (mut reader, writer) = UnixStream::pair().unwrap();
        writer.set_nonblocking(true).unwrap();
        let line = [b'x'; 4096];
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut lines = Lines::new(writer, lost);
                for _ in 0..1000 {
                    lines.write_all(&line).unwrap();
                }
            });
            let count = io::copy(&mut reader, &mut io::sink()).unwrap();
            assert_eq!(count, 1000 * 4096);
        });
        assert_eq!(lost.load(Ordering::Relaxed), 1);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }
}
