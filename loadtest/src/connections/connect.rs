//! A connection for each request: connect, ask, be answered, close.

use std::time::Instant;

use tokio::io::AsyncWriteExt as _;

use crate::latency::pingpong::Answers;
use crate::tcp::load::Client;
use crate::tcp::order::Order;
use crate::tcp::units::Body;

/// Short connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connects {
    /// How many at a time.
    pub(crate) concurrency: usize,
    /// Size of a request, bytes.
    pub(crate) request: usize,
    /// Size of a response, bytes.
    pub(crate) response: usize,
}

impl Connects {
    /// Makes one connection after the other. The time of each is from dialling to the whole
    /// answer.
    ///
    /// # Errors
    /// When a connection breaks, or a byte either way is not the one that was sent.
    pub(crate) async fn run(self, client: &Client, number: u64) -> anyhow::Result<()> {
        client.ready();
        let order = Order::Exchange {
            request: self.request as u64,
            response: self.response as u64,
            stream: number,
        };
        let request = Body::new(self.request, number);
        let mut first = order.encode().to_vec(); // with the request, as one segment
        request.send(0, &mut first).await?;
        while !client.is_over() {
            let began = Instant::now();
            let mut stream = client.connect().await?;
            stream.write_all(&first).await?;
            let mut answers = Answers::new(self.response, number);
            while answers.receive(&mut stream).await? == 0 {}
            client.count_operation(began);
        }
        Ok(())
    }
}
