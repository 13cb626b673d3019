//! From a profile to what the engine runs.

use std::time::Duration;

use apiload::{Content, Phase, Plan, Protocol, Share};
use measure::{Rate, Schedule, ScheduleError, Until};

use super::{LoadProfile, Spec};

/// How requests follow each other.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Arrivals {
    /// Evenly.
    #[default]
    Even,
    /// As a Poisson process: independently of each other.
    Poisson,
}

/// What a profile does not say about how it is sent.
#[derive(Clone, Debug)]
pub struct Sending {
    /// Seed of every random choice.
    pub seed: u64,
    /// How requests follow each other.
    pub arrivals: Arrivals,
    /// The `User-Agent`, if it is not to be this project's.
    pub user_agent: Option<String>,
    /// First part of the names of created objects.
    pub prefix: Option<String>,
}

impl LoadProfile {
    /// The plan that the engine runs.
    ///
    /// # Errors
    /// When a phase would never send anything.
    pub fn plan(&self, sending: &Sending) -> Result<Plan, ScheduleError> {
        let phases = self.specs().iter().enumerate().map(|(index, spec)| {
            let seed = sending.seed.wrapping_add(index as u64);
            spec.phase(sending.arrivals, seed)
        });
        let mut plan = Plan::new(phases.collect::<Result<_, _>>()?, sending.seed);
        if let Some(agent) = &sending.user_agent {
            plan.user_agent.clone_from(agent);
        }
        if let Some(prefix) = &sending.prefix {
            plan.prefix.clone_from(prefix);
        }
        Ok(plan)
    }
}

impl Spec {
    /// When its requests are due.
    ///
    /// # Errors
    /// When nothing would ever be sent.
    pub fn schedule(&self, arrivals: Arrivals, seed: u64) -> Result<Schedule, ScheduleError> {
        let until = match self.total() {
            Some(total) => Until::Total(total),
            None => Until::Elapsed(Duration::from_secs(self.duration)),
        };
        let rate = Rate::Constant { per_second: self.rate };
        let arrivals = match arrivals {
            _ if self.rate == 0.0 => measure::Arrivals::Unlimited,
            Arrivals::Even => measure::Arrivals::Even(rate),
            Arrivals::Poisson => measure::Arrivals::Poisson { rate, seed },
        };
        Schedule::new(arrivals, until)
    }

    fn phase(&self, arrivals: Arrivals, seed: u64) -> Result<Phase, ScheduleError> {
        let mix = self.requests.iter().flat_map(|weighted| {
            weighted.named().into_iter().map(|request| Share { shares: weighted.shares, request })
        });
        Ok(Phase {
            connections: self.conns(),
            clients: self.clients(),
            protocol: if self.disable_http2 { Protocol::Http1 } else { Protocol::Http2 },
            content: self.content_type.unwrap_or(Content::Json),
            // client-go asks for it, and with it an apiserver does other work for a large list.
            gzip: true,
            max_retries: u32::try_from(self.max_retries.max(0)).unwrap_or(u32::MAX),
            ..Phase::new(self.schedule(arrivals, seed)?, mix.collect())
        })
    }
}
