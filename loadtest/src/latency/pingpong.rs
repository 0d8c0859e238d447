//! Requests and responses on one connection that stays, one or several in flight.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Instant;

use anyhow::bail;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::tcp::load::Client;
use crate::tcp::order::Order;
use crate::tcp::origin::BUFFER;
use crate::tcp::units::{Body, Checker};

/// Connections that ask and are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PingPong {
    /// Size of a request, bytes.
    pub(crate) request: usize,
    /// Size of a response, bytes.
    pub(crate) response: usize,
    /// Connections at a time.
    pub(crate) connections: usize,
    /// Requests in flight on each.
    pub(crate) depth: usize,
}

impl PingPong {
    /// Makes the load of one connection.
    ///
    /// # Errors
    /// When the connection breaks, or a byte either way is not the one that was sent.
    pub(crate) async fn run(self, client: &Client, number: u64) -> anyhow::Result<()> {
        let mut stream = client.connect().await?;
        let order = Order::Exchange {
            request: self.request as u64,
            response: self.response as u64,
            stream: number,
        };
        stream.write_all(&order.encode()).await?;
        client.ready();
        let request = Body::new(self.request, number);
        let mut answers = Answers::new(self.response, number);
        match self.depth {
            1 => one_by_one(client, stream, &request, &mut answers).await,
            depth => pipelined(client, stream, &request, &mut answers, depth).await,
        }
    }
}

async fn one_by_one(
    client: &Client,
    mut stream: TcpStream,
    request: &Body,
    answers: &mut Answers,
) -> anyhow::Result<()> {
    let mut number = 0;
    while !client.is_over() {
        let began = Instant::now();
        request.send(number, &mut stream).await?;
        while answers.receive(&mut stream).await? == 0 {}
        client.count_operation(began);
        number += 1;
    }
    Ok(())
}

/// Sends beside receiving: with large messages either alone would wait for the other for ever.
async fn pipelined(
    client: &Client,
    mut stream: TcpStream,
    request: &Body,
    answers: &mut Answers,
    depth: usize,
) -> anyhow::Result<()> {
    let (mut reader, mut writer) = stream.split();
    let free = Semaphore::new(depth);
    let in_flight = RefCell::new(VecDeque::with_capacity(depth));
    let send = async {
        let mut number = 0;
        while !client.is_over() {
            free.acquire().await?.forget();
            in_flight.borrow_mut().push_back(Instant::now());
            request.send(number, &mut writer).await?;
            number += 1;
        }
        writer.shutdown().await?;
        anyhow::Ok(())
    };
    let receive = async {
        while !(client.is_over() && in_flight.borrow().is_empty()) {
            for _ in 0..answers.receive(&mut reader).await? {
                let began = in_flight.borrow_mut().pop_front();
                began
                    .into_iter()
                    .for_each(|began| client.count_operation(began));
                free.add_permits(1);
            }
        }
        Ok(())
    };
    tokio::try_join!(send, receive)?;
    Ok(())
}

/// The origin's answers on one connection.
#[derive(Debug)]
pub(crate) struct Answers {
    connection: u64,
    checker: Checker,
    buffer: Vec<u8>,
}

impl Answers {
    /// Answers of `size` bytes on connection number `connection`.
    pub(crate) fn new(size: usize, connection: u64) -> Self {
        Self {
            connection,
            checker: Checker::new(Body::new(size, connection)),
            buffer: vec![0; size.clamp(16 * 1024, BUFFER)],
        }
    }

    /// Receives something, and returns how many answers it completed.
    ///
    /// # Errors
    /// When the connection ends, or a byte either way is not the one that was sent.
    pub(crate) async fn receive(
        &mut self,
        reader: &mut (impl tokio::io::AsyncRead + Unpin),
    ) -> anyhow::Result<u64> {
        let connection = self.connection;
        let length = reader.read(&mut self.buffer).await?;
        if length == 0 {
            bail!("connection {connection}: ended before the answer");
        }
        let answers = self.checker.feed(&self.buffer[..length]);
        match (answers, self.checker.end()) {
            (Err(fault), _) => bail!("connection {connection}, to the client: {fault}"),
            (_, Some(Some(fault))) => bail!("connection {connection}, to the upstream: {fault}"),
            (Ok(answers), _) => Ok(answers),
        }
    }
}
