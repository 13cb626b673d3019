//! The phase over time, a second at a time.

use std::time::Duration;

use measure::stats::millis;
use serde::Serialize;

use crate::recorder::Window;
use crate::tally::Totals;

/// Intervals of one width. After as many, the width doubles, so that a day takes some 6,000 and not 86,400.
const OF_ONE_WIDTH: usize = 1_024;

/// What happened in an interval. A request is counted where it ended, so the response times are those that ended in it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Its start, in seconds from the start of the phase.
    pub start_s: f64,
    /// Its length in seconds.
    pub length_s: f64,
    /// Requests that came due.
    pub offered: u64,
    /// Requests that clients took up.
    pub taken: u64,
    /// Requests that were dropped from a full backlog.
    pub never_sent: u64,
    /// Requests that completed.
    pub completed: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that timed out.
    pub timed_out: u64,
    /// Bytes of bodies.
    pub body_bytes: u64,
    /// Requests in flight at its end.
    pub in_flight: u64,
    /// Requests waiting for a client at its end.
    pub backlog: u64,
    /// Median of the response times.
    pub response_p50_ms: Option<f64>,
    /// 99th percentile of the response times; needs 100.
    pub response_p99_ms: Option<f64>,
    /// The largest response time.
    pub response_max_ms: Option<f64>,
}

/// The intervals so far.
#[derive(Debug, Default)]
pub(crate) struct Series {
    intervals: Vec<Interval>,
    start: Duration,
    before: Totals,
}

impl Series {
    /// When the current interval began.
    pub(crate) fn start(&self) -> Duration {
        self.start
    }

    /// Closes the current interval if its time has come, or if it is the last; says whether it did.
    pub(crate) fn close(&mut self, now: Duration, totals: Totals, window: &mut Window, last: bool) -> bool {
        let width = Duration::from_secs(1 << (self.intervals.len() / OF_ONE_WIDTH).min(32));
        let length = now.saturating_sub(self.start);
        // A tick may come a little early in relation to the last.
        if !last && length < width.mul_f64(0.9) {
            return false;
        }
        let at = |p| window.response.quantile(p).map(millis);
        self.intervals.push(Interval {
            start_s: self.start.as_secs_f64(),
            length_s: length.as_secs_f64(),
            offered: totals.offered.saturating_sub(self.before.offered),
            taken: totals.taken.saturating_sub(self.before.taken),
            never_sent: totals.never_sent.saturating_sub(self.before.never_sent),
            completed: window.completed,
            failed: window.failed,
            timed_out: window.timed_out,
            body_bytes: window.body_bytes,
            in_flight: totals.in_flight(),
            backlog: totals.backlog(),
            response_p50_ms: at(0.5),
            response_p99_ms: at(0.99),
            response_max_ms: at(1.0),
        });
        window.clear();
        (self.start, self.before) = (now, totals);
        true
    }

    pub(crate) fn into_intervals(self) -> Vec<Interval> {
        self.intervals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_seconds_takes_some_thousand_intervals_and_loses_no_request() {
        let mut series = Series::default();
        let mut window = Window::default();
        let day = 86_400;
        for second in 1..=day {
            window.completed += 10;
            let totals = Totals { offered: 10 * second, taken: 10 * second, ..Totals::default() };
            series.close(Duration::from_secs(second), totals, &mut window, second == day);
        }
        let intervals = series.into_intervals();
        assert!((6_000..7_000).contains(&intervals.len()), "{}", intervals.len());
        assert_eq!(intervals.iter().map(|interval| interval.completed).sum::<u64>(), 10 * day);
        assert_eq!(intervals.iter().map(|interval| interval.offered).sum::<u64>(), 10 * day);
        let ends: Vec<f64> = intervals.iter().map(|interval| interval.start_s + interval.length_s).collect();
        assert!(intervals.iter().skip(1).zip(&ends).all(|(next, end)| (next.start_s - end).abs() < 1e-6));
    }
}
