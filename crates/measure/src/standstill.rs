//! Standstills of a progress curve: how long nothing got done, and when it went on after a fault.

use std::time::Duration;

/// The longest time without progress between `from` and the last of the sorted stamps.
pub fn longest(stamps: &[Duration], from: Duration) -> Option<Duration> {
    gaps(stamps, from).map(|(start, end)| end - start).max()
}

/// How long after a fault at `fault` progress went on for good: from the fault to the end of the longest standstill that
/// followed it. What was under way already still gets done right after a fault, so the first stamp says nothing.
///
/// `None` when nothing got done after the fault: it never recovered, or there was nothing left to do.
pub fn recovery(stamps: &[Duration], fault: Duration) -> Option<Duration> {
    let after = &stamps[stamps.partition_point(|stamp| *stamp <= fault)..];
    let (_, end) = gaps(after, fault).max_by_key(|(start, end)| *end - *start)?;
    Some(end - fault)
}

/// Neighbours of `from` and the stamps after it.
fn gaps(stamps: &[Duration], from: Duration) -> impl Iterator<Item = (Duration, Duration)> {
    let starts = std::iter::once(from).chain(stamps.iter().copied());
    starts.zip(stamps.iter().copied()).map(|(start, end)| (start, end.max(start)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(stamps: &[u64]) -> Vec<Duration> {
        stamps.iter().map(|ms| Duration::from_millis(*ms)).collect()
    }

    #[test]
    fn what_was_under_way_at_the_fault_is_no_recovery() {
        let stamps = ms(&[100, 200, 300, 310, 320, 4000, 4100, 4300]);
        assert_eq!(recovery(&stamps, Duration::from_millis(300)), Some(Duration::from_millis(3700)));
        assert_eq!(longest(&stamps, Duration::ZERO), Some(Duration::from_millis(3680)));
    }

    #[test]
    fn nothing_after_the_fault_is_no_recovery() {
        assert_eq!(recovery(&ms(&[100, 200]), Duration::from_millis(200)), None);
        assert_eq!(longest(&[], Duration::ZERO), None);
    }

    proptest! {
        #[test]
        fn a_recovery_ends_at_a_stamp_after_the_fault(mut millis in prop::collection::vec(0u64..10_000, 1..50), fault in 0u64..10_000) {
            millis.sort_unstable();
            let (stamps, fault) = (ms(&millis), Duration::from_millis(fault));
            match recovery(&stamps, fault) {
                Some(took) => prop_assert!(stamps.contains(&(fault + took)) && took > Duration::ZERO),
                None => prop_assert!(stamps.iter().all(|stamp| *stamp <= fault)),
            }
        }
    }
}
