//! Requests to the admin endpoint, and what it answers.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use serde_json::Value;

use super::{connect, patient};

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Asks for a path.
pub(crate) fn get(admin: SocketAddr, path: &str) -> Answer {
    ask(admin, "GET", path)
}

/// Makes a request without a body.
pub(crate) fn ask(admin: SocketAddr, method: &str, path: &str) -> Answer {
    let mut stream = patient(TcpStream::connect(admin).unwrap());
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {admin}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

/// The series of a scrape.
pub(crate) struct Scrape(pub(crate) String);

impl Scrape {
    pub(crate) fn of(admin: SocketAddr) -> Self {
        let answer = get(admin, "/metrics");
        assert_eq!(answer.status, 200);
        Self(answer.body)
    }

    /// The value of a series, with its labels as they are written.
    ///
    /// # Panics
    /// There is none.
    pub(crate) fn value(&self, series: &str) -> f64 {
        let line = self.0.lines().find_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            (name == series).then_some(value)
        });
        let line = line.unwrap_or_else(|| panic!("no series {series} in:\n{}", self.0));
        line.parse().unwrap()
    }

    /// The sum of all series of a family.
    pub(crate) fn sum(&self, family: &str) -> f64 {
        let series = self.0.lines().filter(|line| !line.starts_with('#'));
        series
            .filter(|line| line.split(['{', ' ']).next() == Some(family))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
            .sum()
    }
}

/// A client of an echo server whose first byte has gone there and back.
pub(crate) fn echoed(to: SocketAddr) -> TcpStream {
    let mut client = connect(to);
    client.write_all(b"?").unwrap();
    client.read_exact(&mut [0]).unwrap();
    client
}

/// A page of `/connections`.
pub(crate) fn connections(admin: SocketAddr, query: &str) -> Value {
    let answer = get(admin, &format!("/connections{query}"));
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}
