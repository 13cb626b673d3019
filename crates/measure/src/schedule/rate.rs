//! A rate over time, and when its integral reaches a number.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ScheduleError;

/// A rate over time, in requests per second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rate {
    /// The same throughout.
    Constant {
        /// Requests per second.
        per_second: f64,
    },
    /// From one rate to another in a straight line, and on at the second.
    Ramp {
        /// Requests per second at the start.
        from_per_second: f64,
        /// Requests per second after `over`.
        to_per_second: f64,
        /// How long the change takes.
        over: Duration,
    },
    /// One rate after another. The last holds on until the end of the schedule.
    Steps(Vec<Step>),
}

/// One rate for a time. A rate of zero is a pause.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Requests per second.
    pub per_second: f64,
    /// How long it holds.
    pub lasts: Duration,
}

impl Rate {
    /// Checks that this is a rate, and not zero for ever.
    pub(super) fn check(&self) -> Result<(), ScheduleError> {
        let (rates, lengths): (Vec<f64>, Vec<(&'static str, Duration)>) = match self {
            Self::Constant { per_second } => (vec![*per_second], Vec::new()),
            Self::Ramp { from_per_second, to_per_second, over } => {
                (vec![*from_per_second, *to_per_second], vec![("ramp", *over)])
            }
            Self::Steps(steps) => steps.iter().map(|step| (step.per_second, ("step", step.lasts))).unzip(),
        };
        if let Some(bad) = rates.iter().find(|rate| !rate.is_finite() || **rate < 0.0) {
            return Err(ScheduleError::Rate(*bad));
        }
        if let Some((what, _)) = lengths.iter().find(|(_, length)| length.is_zero()) {
            return Err(ScheduleError::NoLength(what));
        }
        if rates.iter().all(|rate| *rate <= 0.0) {
            return Err(ScheduleError::Silent);
        }
        Ok(())
    }

    /// How many requests there are in all; `None` where the rate never ends.
    pub(super) fn most(&self) -> Option<u64> {
        let stretches = self.stretches();
        let last = stretches.last()?;
        (last.from <= 0.0).then_some(last.before.ceil() as u64)
    }

    /// The rate as straight lines, of which the last is level and has no end.
    fn stretches(&self) -> Vec<Stretch> {
        let lines: Vec<(f64, f64, f64)> = match self {
            Self::Constant { per_second } => vec![(*per_second, *per_second, f64::INFINITY)],
            Self::Ramp { from_per_second, to_per_second, over } => vec![
                (*from_per_second, *to_per_second, over.as_secs_f64()),
                (*to_per_second, *to_per_second, f64::INFINITY),
            ],
            Self::Steps(steps) => {
                let last = steps.len().saturating_sub(1);
                let length = |i: usize, step: &Step| if i == last { f64::INFINITY } else { step.lasts.as_secs_f64() };
                steps.iter().enumerate().map(|(i, step)| (step.per_second, step.per_second, length(i, step))).collect()
            }
        };
        let (mut start, mut before) = (0.0, 0.0);
        lines
            .into_iter()
            .map(|(from, to, length)| {
                let slope = if length.is_finite() { (to - from) / length } else { 0.0 };
                let stretch = Stretch { start, before, from, slope, after: before + (from + to) / 2.0 * length };
                start += length;
                before = stretch.after;
                stretch
            })
            .collect()
    }
}

/// A time in which the rate is a straight line.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// Seconds from the start of the schedule.
    start: f64,
    /// Arrivals before it.
    before: f64,
    /// Rate at its start.
    from: f64,
    /// Change of the rate, per second.
    slope: f64,
    /// Arrivals before its end; not a number where it is silent and endless.
    after: f64,
}

/// When the integral of a rate reaches a number that only grows from call to call.
#[derive(Clone, Debug)]
pub(super) struct Inverse {
    stretches: Vec<Stretch>,
    current: usize,
}

impl Inverse {
    pub(super) fn of(rate: &Rate) -> Self {
        Self { stretches: rate.stretches(), current: 0 }
    }

    /// Seconds from the start until `count` arrivals are due; `None` where that is never.
    pub(super) fn at(&mut self, count: f64) -> Option<f64> {
        while count >= self.stretches.get(self.current)?.after {
            self.current += 1;
        }
        let Stretch { start, before, from, slope, .. } = self.stretches[self.current];
        let count = count - before;
        if count <= 0.0 && slope > 0.0 {
            return Some(start);
        }
        // `slope / 2 x² + from x = count`, in the form that loses no digits where the slope is small. On a stretch that is
        // silent for ever it is a division by zero, which says just that.
        let root = (from * from + 2.0 * slope * count).max(0.0).sqrt();
        let seconds = 2.0 * count / (from + root);
        seconds.is_finite().then_some(start + seconds)
    }
}
