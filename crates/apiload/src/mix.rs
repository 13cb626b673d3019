//! Which request is next: a weighted choice from a seed, made on the pacing thread so that answers have no say in it.

use std::sync::Arc;

use rand::distr::Distribution as _;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use crate::operation::{Created, Operation};

/// What is to be sent: an operation, and the number from which its object and content follow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Draw {
    /// Index of the operation.
    pub operation: u32,
    /// The number.
    pub number: u64,
}

/// A weighted, seeded choice of operations. The same seed gives the same choices, but for deletions: those depend on what
/// has been created.
#[derive(Debug)]
pub struct Mix {
    rng: Xoshiro256PlusPlus,
    weights: WeightedIndex<u32>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Index of the first operation of the entry.
    operation: u32,
    pods: Option<Pods>,
}

/// The Pods of a `postDel`: those created are numbered, and its second operation deletes.
#[derive(Debug)]
struct Pods {
    delete_ratio: f64,
    next: u64,
    created: Arc<Created>,
}

impl Mix {
    /// A choice of operations `0..shares.len()`, each with its weight; `None` where all weights are zero.
    pub fn new(shares: &[u32], seed: u64) -> Option<Self> {
        let entries = (0..shares.len()).map(|i| Entry { operation: i as u32, pods: None }).collect();
        Some(Self { rng: Xoshiro256PlusPlus::seed_from_u64(seed), weights: WeightedIndex::new(shares).ok()?, entries })
    }

    /// The same for the operations of a phase, of which a `postDel` has two with a share of deletions between them.
    pub(crate) fn of(operations: &[Operation], shares: &[(u32, f64)], seed: u64) -> Option<Self> {
        let weights: Vec<u32> = shares.iter().map(|(shares, _)| *shares).collect();
        let mut mix = Self::new(&weights, seed)?;
        for (index, operation) in operations.iter().enumerate().rev() {
            mix.entries[operation.entry] = Entry {
                operation: index as u32,
                pods: operation.created().map(|created| Pods {
                    delete_ratio: shares[operation.entry].1,
                    next: 0,
                    created: Arc::clone(created),
                }),
            };
        }
        Some(mix)
    }

    /// The next one.
    pub fn draw(&mut self) -> Draw {
        let entry = &mut self.entries[self.weights.sample(&mut self.rng)];
        let number = self.rng.random::<u64>();
        let Some(pods) = &mut entry.pods else {
            return Draw { operation: entry.operation, number };
        };
        // The random number is used up in either case, so that what was created does not shift the choices after it.
        let deletes = (number as f64 / u64::MAX as f64) < pods.delete_ratio;
        if deletes && let Some(number) = pods.created.pop() {
            return Draw { operation: entry.operation + 1, number };
        }
        pods.next += 1;
        Draw { operation: entry.operation, number: pods.next - 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_kept_and_zero_is_never_drawn() {
        let mut mix = Mix::new(&[1_000, 0, 100], 7).unwrap();
        let mut drawn = [0u32; 3];
        for _ in 0..11_000 {
            drawn[mix.draw().operation as usize] += 1;
        }
        // 1,000 of the rare one are expected, with a standard deviation of 30.
        assert_eq!(drawn[1], 0);
        assert!((850..1_150).contains(&drawn[2]), "{drawn:?}");
    }

    #[test]
    fn a_seed_decides_every_draw() {
        let draws = |seed| {
            let mut mix = Mix::new(&[3, 2, 1], seed).unwrap();
            (0..100).map(|_| mix.draw()).collect::<Vec<_>>()
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }

    #[test]
    fn nothing_can_be_drawn_from_shares_of_zero() {
        assert!(Mix::new(&[0, 0], 1).is_none());
        assert!(Mix::new(&[], 1).is_none());
    }
}
