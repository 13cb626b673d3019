//! Generated content: pages whose beginning is random and whose rest is one byte.
//!
//! The random share of a page is what no compression can take away, wherever a compressor's window ends. Xoshiro256++
//! (Blackman and Vigna, 2021) is a named generator: its sequence is the same in every version and on every machine.

use std::io::{self, Read};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng as _, SeedableRng as _};

/// Bytes of a page, at whose scale random and plain content alternate.
const PAGE: usize = 4096;
/// Pages that are made at a time.
const PAGES: usize = 16;
/// What is not random.
const PLAIN: u8 = b'k';

/// An endless stream of content.
#[derive(Debug)]
pub(crate) struct Noise {
    rng: Xoshiro256PlusPlus,
    random: usize,
    pages: Box<[u8]>,
    read: usize,
}

impl Noise {
    pub(crate) fn new(seed: u64, random_percent: u8) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let pages = vec![PLAIN; PAGE * PAGES].into_boxed_slice();
        let random = PAGE * usize::from(random_percent.min(100)) / 100;
        Self { rng, random, read: pages.len(), pages }
    }
}

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.pages.len() {
            for page in self.pages.chunks_mut(PAGE) {
                self.rng.fill_bytes(&mut page[..self.random]);
            }
            self.read = 0;
        }
        let ready = &self.pages[self.read..];
        let bytes = ready.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&ready[..bytes]);
        self.read += bytes;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(seed: u64, percent: u8, bytes: usize) -> Vec<u8> {
        let mut content = Vec::new();
        Noise::new(seed, percent).take(bytes as u64).read_to_end(&mut content).unwrap();
        content
    }

    proptest! {
        #[test]
        fn how_it_is_read_makes_no_difference(seed: u64, percent in 0..=100_u8, piece in 1..5000_usize) {
            let whole = content(seed, percent, 100_000);
            let mut noise = Noise::new(seed, percent);
            let (mut pieces, mut buffer) = (Vec::new(), vec![0; piece]);
            while pieces.len() < whole.len() {
                let bytes = noise.read(&mut buffer).unwrap();
                pieces.extend_from_slice(&buffer[..bytes]);
            }
            pieces.truncate(whole.len());
            prop_assert!(pieces == whole);
        }
    }

    #[test]
    fn the_share_of_random_bytes_is_the_one_that_was_asked_for() {
        for percent in [0, 1, 25, 50, 99, 100] {
            let plain = content(7, percent, 1_000_000).into_iter().filter(|byte| *byte == PLAIN).count();
            // One random byte in 256 looks plain.
            let random = f64::from(percent) / 100.0;
            let expected = 1_000_000.0 * (1.0 - random + random / 256.0);
            assert!((plain as f64 - expected).abs() < 2_000.0, "{percent}: {plain} instead of {expected}");
        }
    }
}
