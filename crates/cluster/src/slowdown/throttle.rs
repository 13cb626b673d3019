//! Processes that get only a part of the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::process::Process;

/// Short beside what a trial measures, long beside what a wake-up may be late.
const PERIOD: Duration = Duration::from_millis(20);

/// Stops processes for a part of each period. They go on when this is dropped.
#[derive(Debug)]
pub(super) struct Throttle {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Throttle {
    /// What `processes` do takes `factor` times as long from now on.
    pub(super) fn start(processes: Vec<Process>, factor: f64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || throttle(&processes, 1.0 - 1.0 / factor, &stopped));
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Each period makes up for the one before: on a busy machine a sleep ends late, and the share would be another.
fn throttle(processes: &[Process], share: f64, stop: &AtomicBool) {
    let signal = |signal| {
        for process in processes {
            process.signal(signal);
        }
    };
    let begin = Instant::now();
    let mut stood_still = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let owed = (begin.elapsed() + PERIOD).mul_f64(share).saturating_sub(stood_still);
        if !owed.is_zero() {
            signal(Signal::STOP);
            // Sending takes its time on a busy machine: only when all stand still does the clock run.
            let since = Instant::now();
            std::thread::sleep(owed.min(PERIOD));
            stood_still += since.elapsed();
            signal(Signal::CONT);
        }
        std::thread::sleep(PERIOD.mul_f64(1.0 - share));
    }
}
