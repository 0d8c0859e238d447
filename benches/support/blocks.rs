//! Three routes side by side: blocks of round trips, in turns, compared by ratios.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

const BLOCK: Duration = Duration::from_millis(250);

/// Bytes of a message.
pub(crate) const MESSAGE: usize = 1024;

const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];

type Block = [f64; QUANTILES.len()];

/// Times of round trips: of a route, of the control, and of the control again. How far the ratio of
/// the latter two is from 1 is what the machine adds by itself.
#[derive(Default)]
pub(crate) struct Rounds {
    blocks: [Vec<Block>; 3],
}

/// How many rounds the command line asks for: one with `--test`, or a number.
pub(crate) fn rounds(unless_told: usize) -> usize {
    let args: Vec<_> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--test") {
        return 1;
    }
    let given = args.iter().find_map(|arg| arg.parse().ok());
    given.unwrap_or(unless_told)
}

impl Rounds {
    /// Sends messages to a server that sends them back, one after the other, and keeps the
    /// quantiles of their times as those of the route at `place`.
    ///
    /// # Panics
    /// The connection breaks.
    pub(crate) fn measure(&mut self, place: usize, mut client: &TcpStream) {
        let mut message = [7; MESSAGE];
        let started = Instant::now();
        let mut times = Vec::new();
        while started.elapsed() < BLOCK || times.is_empty() {
            let sent = Instant::now();
            client.write_all(&message).expect("a server that listens");
            client.read_exact(&mut message).expect("an echo");
            times.push(sent.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        self.blocks[place].push(QUANTILES.map(|(_, quantile)| at(&times, quantile)));
    }

    /// Prints what came of it, the routes by their names.
    #[expect(clippy::print_stdout, reason = "it is the report")]
    pub(crate) fn report(&self, names: [&str; 3]) {
        let [route, control, again] = &self.blocks;
        println!("{} rounds; median, and the middle half", route.len());
        for (index, (quantile, _)) in QUANTILES.iter().enumerate() {
            println!("{quantile}");
            for (name, blocks) in names.iter().zip(&self.blocks) {
                let [low, median, high] = middle(blocks.iter().map(|block| block[index] * 1e6));
                println!("  {name:24} {median:8.1} us  ({low:.1} to {high:.1})");
            }
            for (name, blocks) in [(names[0], route), (names[2], again)] {
                let pairs = blocks.iter().zip(control);
                let [low, median, high] = middle(pairs.map(|(a, b)| a[index] / b[index]));
                println!(
                    "  {:24} {median:8.3}     ({low:.3} to {high:.3})",
                    format!("{name} / {}", names[1])
                );
            }
        }
    }
}

/// The lower quartile, the median and the upper quartile.
fn middle(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    [0.25, 0.5, 0.75].map(|quartile| at(&values, quartile))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in the list"
)]
fn at(sorted: &[f64], quantile: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * quantile) as usize]
}
