//! Whether the latencies of a load can be trusted, from how late the generator itself was.

use std::time::Duration;

use crate::stats::millis;

/// Slip that never matters: what a thread that sleeps until a due time can keep on an idle machine.
pub const SLIP_FLOOR: Duration = Duration::from_micros(500);

/// The largest slip at which latencies with this median hold: the larger of [`SLIP_FLOOR`] and 1 % of the median.
pub fn slip_limit(median: Duration) -> Duration {
    SLIP_FLOOR.max(median / 100)
}

/// Why latencies are invalid, as a sentence; `None` where they hold.
///
/// `slip_p99` is the 99th percentile of the schedule slip: how much later than it could have been a request was taken up,
/// by the generator's own fault. `median` is the median that is reported. A system under test that is saturated makes
/// requests wait, but no slip, so it is no reason for `invalid`; a starved generator is.
pub fn invalid_by_slip(slip_p99: Duration, median: Duration) -> Option<String> {
    let limit = slip_limit(median);
    (slip_p99 > limit).then(|| {
        format!(
            "latencies are invalid: the generator was late, with a schedule slip of {:.2} ms at p99, over {:.2} ms (the larger \
             of 0.5 ms and 1 % of the median of {:.2} ms); counts stand. Give it a core of its own, or a lower rate",
            millis(slip_p99),
            millis(limit),
            millis(median),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::on_time(400, 10_000, false)]
    #[case::late_for_fast_answers(501, 10_000, true)]
    #[case::small_beside_slow_answers(1_900, 200_000, false)]
    #[case::large_beside_slow_answers(2_100, 200_000, true)]
    #[case::at_the_limit(500, 0, false)]
    fn latencies_hold_while_the_slip_is_small_beside_them(
        #[case] slip: u64,
        #[case] median: u64,
        #[case] invalid: bool,
    ) {
        let sentence = invalid_by_slip(Duration::from_micros(slip), Duration::from_micros(median));
        assert_eq!(sentence.is_some(), invalid, "{sentence:?}");
    }

    #[test]
    fn the_sentence_has_the_figures_and_the_fix() {
        let sentence = invalid_by_slip(Duration::from_millis(3), Duration::from_millis(80)).expect("late");
        assert_eq!(
            sentence,
            "latencies are invalid: the generator was late, with a schedule slip of 3.00 ms at p99, over 0.80 ms (the larger \
             of 0.5 ms and 1 % of the median of 80.00 ms); counts stand. Give it a core of its own, or a lower rate"
        );
    }
}
