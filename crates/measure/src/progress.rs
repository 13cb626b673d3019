//! How a phase ends: all done, no progress for too long, out of time, or cut short.

use std::fmt;
use std::time::Duration;

use crate::verdict::{Verdict, human};

/// When a phase that is not done is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StallRule {
    /// Stalled after this long without progress.
    pub no_progress_for: Duration,
    /// Timed out after this long in all, even while moving.
    pub at_most: Duration,
}

impl StallRule {
    /// A rule in whole seconds, as parameters give it.
    pub const fn seconds(no_progress_for: u64, at_most: u64) -> Self {
        Self { no_progress_for: Duration::from_secs(no_progress_for), at_most: Duration::from_secs(at_most) }
    }
}

/// The count of a phase over time. Times are offsets from the start of the trial.
#[derive(Clone, Debug)]
pub struct Progress {
    rule: StallRule,
    started: Duration,
    last: Duration,
    done: usize,
    best: usize,
    total: usize,
}

impl Progress {
    /// A phase of `total` objects that starts at `now`.
    pub fn start(rule: StallRule, total: usize, now: Duration) -> Self {
        Self { rule, started: now, last: now, done: 0, best: 0, total }
    }

    /// Takes the number of objects that are done at `now`, of how many, and says whether the phase is over.
    ///
    /// Only a count above the best so far is progress: one that falls and rises again goes round in circles.
    pub fn update(&mut self, done: usize, total: usize, now: Duration) -> Option<End> {
        if done > self.best {
            self.best = done;
            self.last = now;
        }
        (self.done, self.total) = (done, total);
        let took = now.saturating_sub(self.started);
        if done >= total {
            Some(End::Complete { took })
        } else if now.saturating_sub(self.last) >= self.rule.no_progress_for {
            Some(End::Stalled { done, total, progress_until: self.last.saturating_sub(self.started) })
        } else if took >= self.rule.at_most {
            Some(End::TimedOut { done, total, took })
        } else {
            None
        }
    }

    /// The end of a phase that was cut short at `now` for `cause`, which makes its trial's verdict `verdict`.
    pub fn interrupt(&self, cause: &str, verdict: Verdict, now: Duration) -> End {
        let took = now.saturating_sub(self.started);
        End::Interrupted { done: self.done, total: self.total, took, cause: cause.to_owned(), verdict }
    }
}

/// How a phase ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Every object got there.
    Complete {
        /// From the start of the phase.
        took: Duration,
    },
    /// Nothing moved for [`StallRule::no_progress_for`].
    Stalled {
        /// Objects that got there.
        done: usize,
        /// Objects in all.
        total: usize,
        /// When the last object got there, from the start of the phase.
        progress_until: Duration,
    },
    /// Still moving after [`StallRule::at_most`].
    TimedOut {
        /// Objects that got there.
        done: usize,
        /// Objects in all.
        total: usize,
        /// From the start of the phase.
        took: Duration,
    },
    /// Cut short: by a signal, or because what it asked for was refused.
    Interrupted {
        /// Objects that got there.
        done: usize,
        /// Objects in all.
        total: usize,
        /// From the start of the phase.
        took: Duration,
        /// By what.
        cause: String,
        /// What that makes of the trial.
        verdict: Verdict,
    },
}

impl End {
    /// From the start of the phase until it was over, or until it last moved.
    pub fn took(&self) -> Duration {
        match self {
            Self::Complete { took } | Self::TimedOut { took, .. } | Self::Interrupted { took, .. } => *took,
            Self::Stalled { progress_until, .. } => *progress_until,
        }
    }

    /// The verdict that this end forces on its trial, if it forces one.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Complete { .. } => None,
            Self::Stalled { .. } => Some(Verdict::Stalled),
            Self::TimedOut { .. } => Some(Verdict::Timeout),
            Self::Interrupted { verdict, .. } => Some(*verdict),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete { took } => write!(f, "complete after {}", human(*took)),
            Self::Stalled { done, total, progress_until } if progress_until.is_zero() => {
                write!(f, "stalled at {done}/{total} from the start")
            }
            Self::Stalled { done, total, progress_until } => {
                write!(f, "stalled at {done}/{total} after {}", human(*progress_until))
            }
            Self::TimedOut { done, total, took } => write!(f, "timeout at {done}/{total} after {}", human(*took)),
            Self::Interrupted { done, total, took, cause, .. } => {
                write!(f, "{cause} at {done}/{total} after {}", human(*took))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: StallRule = StallRule::seconds(60, 1800);

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// The history of document 004: 922 of 1000 pods evenly in 14m25s, then nothing.
    #[test]
    fn a_run_that_stops_moving_is_stalled_where_it_stopped() {
        let mut progress = Progress::start(RULE, 1000, secs(10));
        assert_eq!(progress.update(500, 1000, secs(400)), None);
        assert_eq!(progress.update(922, 1000, secs(10 + 865)), None);
        assert_eq!(progress.update(922, 1000, secs(10 + 865 + 59)), None);
        let end = progress.update(922, 1000, secs(10 + 865 + 60)).expect("stalled");
        assert_eq!(end.to_string(), "stalled at 922/1000 after 14m25s");
        assert_eq!(end.verdict(), Some(Verdict::Stalled));
    }

    #[test]
    fn slow_but_moving_is_a_timeout_not_a_stall() {
        let mut progress = Progress::start(RULE, 1000, secs(0));
        let ends: Vec<End> = (1..=90).filter_map(|i| progress.update(i, 1000, secs(i as u64 * 30))).collect();
        assert_eq!(ends[0].to_string(), "timeout at 60/1000 after 30m00s");
    }

    #[test]
    fn a_falling_count_is_not_progress() {
        let mut progress = Progress::start(RULE, 10, secs(0));
        assert_eq!(progress.update(5, 10, secs(1)), None);
        assert_eq!(progress.update(4, 10, secs(50)), None);
        assert_eq!(progress.update(5, 10, secs(55)), None);
        assert_eq!(progress.update(4, 10, secs(60)), None);
        assert!(matches!(progress.update(4, 10, secs(61)), Some(End::Stalled { done: 4, .. })));
    }

    #[test]
    fn nothing_to_do_is_complete_at_once() {
        let mut progress = Progress::start(RULE, 0, secs(3));
        assert_eq!(progress.update(0, 0, secs(3)), Some(End::Complete { took: secs(0) }));
    }

    #[test]
    fn what_cuts_a_phase_short_says_what_that_makes_of_the_trial() {
        let progress = Progress::start(RULE, 3, Duration::ZERO);
        let refused = progress.interrupt("refused", Verdict::NoData, Duration::from_millis(20));
        assert_eq!(refused.verdict(), Some(Verdict::NoData));
        assert_eq!(refused.to_string(), "refused at 0/3 after 20ms");
    }
}
