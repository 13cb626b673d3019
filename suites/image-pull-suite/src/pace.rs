//! When each Deployment is created: on time, by a thread that does nothing else.

use std::time::Instant;

use harness::{Error, Result};
use measure::{Due, Schedule, Until};
use tokio::sync::mpsc;

/// A call that is due now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Its number, from 0.
    pub(crate) number: usize,
    /// When it was due.
    pub(crate) due: Instant,
}

/// `total` calls, so many a second, the first at once.
///
/// # Errors
/// When that is no rate.
pub(crate) fn paced(total: u32, per_second: u32) -> Result<mpsc::UnboundedReceiver<Call>> {
    let schedule = Schedule::constant(f64::from(per_second), Until::Total(u64::from(total)));
    let schedule = schedule.map_err(|error| Error::Environment(format!("qps = {per_second}: {error}")))?;
    let (calls, due) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let began = Instant::now();
        for (number, offset) in schedule.offsets().enumerate() {
            let Due::At(due) = offset else { return };
            std::thread::sleep(due.saturating_sub(began.elapsed()));
            // Who takes no more calls has given up.
            if calls.send(Call { number, due: began + due }).is_err() {
                return;
            }
        }
    });
    Ok(due)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn calls_come_when_they_are_due_and_not_before() {
        let mut calls = paced(3, 50).unwrap();
        let mut seen = Vec::new();
        while let Some(call) = calls.recv().await {
            assert!(Instant::now() >= call.due);
            seen.push(call);
        }
        let after = |call: &Call| call.due - seen[0].due;
        assert_eq!(seen.iter().map(after).collect::<Vec<_>>(), [0, 20, 40].map(Duration::from_millis));
        assert_eq!(seen.iter().map(|call| call.number).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_rate_of_nothing_is_refused() {
        assert!(paced(3, 0).unwrap_err().to_string().starts_with("qps = 0: "));
    }
}
