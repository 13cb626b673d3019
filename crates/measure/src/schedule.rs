//! When the requests of an open loop are due: offsets from the start of a phase that no answer can move.
//!
//! A closed loop asks again when it was answered, so a server that stalls is asked less and looks fast (Gil Tene's
//! "coordinated omission"). Here the offsets are fixed by the plan alone, and a latency is counted from them.

mod rate;

use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use rate::Inverse;
pub use rate::{Rate, Step};

/// The due times of a phase: what arrives, and until when.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Schedule {
    arrivals: Arrivals,
    until: Until,
}

/// How requests follow each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Evenly, with the first at the very start: request `i` is due when the integral of the rate reaches `i`.
    Even(Rate),
    /// As a Poisson process: the gaps are exponential and independent, as of many users who know nothing of each other.
    Poisson {
        /// The mean rate.
        rate: Rate,
        /// Seed of xoshiro256++ (Blackman and Vigna, 2021), of which [`rand`] promises the same values everywhere.
        seed: u64,
    },
    /// As fast as the connections carry them. It is a closed loop: a request is not due before there is room for it, so
    /// its latency is the service time alone, and a stall shows as a rate that falls rather than as a wait.
    Unlimited,
}

/// What ends a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// This many requests.
    Total(u64),
    /// This long; a request that would be due at its very end is not sent.
    Elapsed(Duration),
}

/// When a request is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Due {
    /// At this offset from the start of the phase.
    At(Duration),
    /// As soon as there is room for it.
    WhenFree,
}

/// A schedule that describes nothing that could be sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// A rate that is no rate.
    #[error("a rate of {0} requests/s: give a finite number of 0 or more")]
    Rate(f64),
    /// A rate that never leaves zero, or steps that are none.
    #[error("the rate is 0 throughout, so nothing would be sent: give a rate above 0, or `Unlimited`")]
    Silent,
    /// A ramp or a step that takes no time.
    #[error("a {0} of no length: give it a duration above 0")]
    NoLength(&'static str),
    /// No requests or no time.
    #[error("a schedule that ends before it begins: give a total or a duration above 0")]
    Empty,
    /// A rate that falls to zero for good before the total is reached.
    #[error(
        "the rate falls to 0 for good at about {sent} of {total} requests: end by duration, or keep a rate above 0"
    )]
    Unreachable {
        /// Requests that the rate allows, in the mean.
        sent: u64,
        /// Requests asked for.
        total: u64,
    },
}

impl Schedule {
    /// A schedule, checked.
    ///
    /// # Errors
    /// When nothing could ever be sent, or not as much as is asked for.
    pub fn new(arrivals: Arrivals, until: Until) -> Result<Self, ScheduleError> {
        if matches!(until, Until::Total(0) | Until::Elapsed(Duration::ZERO)) {
            return Err(ScheduleError::Empty);
        }
        if let Arrivals::Even(rate) | Arrivals::Poisson { rate, .. } = &arrivals {
            rate.check()?;
            // How many a Poisson process brings in a time is chance, so none can be promised.
            let chance = matches!(arrivals, Arrivals::Poisson { .. });
            if let Until::Total(total) = until
                && let Some(sent) = rate.most()
                && (chance || sent < total)
            {
                return Err(ScheduleError::Unreachable { sent, total });
            }
        }
        Ok(Self { arrivals, until })
    }

    /// A constant rate for a number of requests or a time.
    ///
    /// # Errors
    /// As [`Schedule::new`].
    pub fn constant(per_second: f64, until: Until) -> Result<Self, ScheduleError> {
        Self::new(Arrivals::Even(Rate::Constant { per_second }), until)
    }

    /// How requests follow each other.
    pub fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// What ends it.
    pub fn until(&self) -> Until {
        self.until
    }

    /// The due times, in order. Unlimited requests until a duration never end by themselves: whoever sends them looks at
    /// the clock.
    pub fn offsets(&self) -> Offsets {
        let gaps = match &self.arrivals {
            Arrivals::Even(rate) => Gaps::Even(Inverse::of(rate)),
            Arrivals::Poisson { rate, seed } => {
                Gaps::Poisson(Inverse::of(rate), Box::new(Xoshiro256PlusPlus::seed_from_u64(*seed)))
            }
            Arrivals::Unlimited => Gaps::None,
        };
        Offsets { gaps, until: self.until, given: 0, count: 0.0 }
    }
}

/// The due times of a [`Schedule`], in order.
#[derive(Clone, Debug)]
pub struct Offsets {
    gaps: Gaps,
    until: Until,
    given: u64,
    /// The expected number of arrivals at the last due time: the time axis on which every process here has rate 1.
    count: f64,
}

#[derive(Clone, Debug)]
enum Gaps {
    Even(Inverse),
    Poisson(Inverse, Box<Xoshiro256PlusPlus>),
    None,
}

impl Iterator for Offsets {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        if self.until == Until::Total(self.given) {
            return None;
        }
        let seconds = match &mut self.gaps {
            // The index itself, not a sum of gaps: the last of a billion is where it belongs.
            Gaps::Even(inverse) => inverse.at(self.given as f64)?,
            Gaps::Poisson(inverse, rng) => {
                self.count -= (1.0 - rng.random::<f64>()).ln();
                inverse.at(self.count)?
            }
            Gaps::None => {
                self.given += 1;
                return Some(Due::WhenFree);
            }
        };
        let due = Duration::try_from_secs_f64(seconds).ok()?;
        if matches!(self.until, Until::Elapsed(end) if due >= end) {
            return None;
        }
        self.given += 1;
        Some(Due::At(due))
    }
}

#[cfg(test)]
mod tests;
