//! Where clients get their next request from: the pacing thread, which hands each over when it is due.
//!
//! tokio's timer wakes 0.6 to 2 ms late, a sleeping thread 0.05 to 0.2 ms. The thread does nothing but wait, draw and
//! hand over; it never waits for a client.

use std::io;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender, TrySendError};
use measure::{Arrivals, Due, Schedule, Until, schedule::Offsets};

use crate::mix::{Draw, Mix};
use crate::tally::Tally;

/// The time of a phase: zero is its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

/// A request that is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) draw: Draw,
    /// When it was due; none where that is as soon as it is taken up.
    pub(crate) intended: Option<Duration>,
    /// How much later it was handed over.
    pub(crate) behind: Duration,
}

/// Requests for clients.
#[derive(Debug)]
pub(crate) struct Feed {
    source: Source,
    clock: Clock,
    tallies: Arc<[Tally]>,
}

#[derive(Debug)]
enum Source {
    /// Handed over by the pacing thread.
    Paced(Receiver<Job>),
    /// Drawn by whoever is free.
    Free { left: Mutex<(Offsets, Mix)>, end: Option<Duration> },
}

/// The pacing thread.
#[derive(Debug)]
pub(crate) struct Pacer {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

impl Clock {
    pub(crate) fn starting_at(start: Instant) -> Self {
        Self(start)
    }

    /// Since the start; zero before it.
    pub(crate) fn now(self) -> Duration {
        self.0.elapsed()
    }

    fn until(self, due: Duration) -> Duration {
        (self.0 + due).saturating_duration_since(Instant::now())
    }
}

impl Feed {
    /// A feed, and the thread that fills it where there are due times.
    pub(crate) fn start(
        schedule: &Schedule,
        mix: Mix,
        clock: Clock,
        tallies: Arc<[Tally]>,
        backlog: usize,
    ) -> io::Result<(Self, Option<Pacer>)> {
        if *schedule.arrivals() == Arrivals::Unlimited {
            let end = match schedule.until() {
                Until::Total(_) => None,
                Until::Elapsed(end) => Some(end),
            };
            let source = Source::Free { left: Mutex::new((schedule.offsets(), mix)), end };
            return Ok((Self { source, clock, tallies }, None));
        }
        let (queue, jobs) = async_channel::bounded(backlog);
        let stop = Arc::new(AtomicBool::new(false));
        let pace = Pace { clock, queue, tallies: Arc::clone(&tallies), stop: Arc::clone(&stop) };
        let offsets = schedule.offsets();
        let thread = std::thread::Builder::new().name("pacer".to_owned()).spawn(move || pace.run(offsets, mix))?;
        Ok((Self { source: Source::Paced(jobs), clock, tallies }, Some(Pacer { thread, stop })))
    }

    /// The next request; none when there will be no more.
    pub(crate) async fn next(&self) -> Option<Job> {
        match &self.source {
            Source::Paced(jobs) => jobs.recv().await.ok(),
            Source::Free { left, end } => {
                if end.is_some_and(|end| self.clock.now() >= end) {
                    return None;
                }
                let draw = {
                    let (offsets, mix) = &mut *left.lock().unwrap_or_else(PoisonError::into_inner);
                    offsets.next()?;
                    mix.draw()
                };
                self.tallies[draw.operation as usize].offered.fetch_add(1, Relaxed);
                Some(Job { draw, intended: None, behind: Duration::ZERO })
            }
        }
    }

    /// Counts what still waits as never sent.
    pub(crate) fn close(&self) {
        if let Source::Paced(jobs) = &self.source {
            jobs.close();
            while let Ok(job) = jobs.try_recv() {
                self.tallies[job.draw.operation as usize].never_sent.fetch_add(1, Relaxed);
            }
        }
    }
}

impl Pacer {
    /// Ends the thread; what is not yet due is not offered.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Relaxed);
        self.thread.thread().unpark();
    }

    /// Whether everything has been handed over.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end of the thread.
    pub(crate) fn join(self) {
        self.stop();
        self.thread.join().ok();
    }
}

struct Pace {
    clock: Clock,
    queue: Sender<Job>,
    tallies: Arc<[Tally]>,
    stop: Arc<AtomicBool>,
}

impl Pace {
    fn run(&self, offsets: Offsets, mut mix: Mix) {
        // The kernel may otherwise wake this thread 50 µs late to save power. Where it refuses, the slip will tell.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).ok();
        for due in offsets {
            let Due::At(due) = due else { return };
            if !self.wait_until(due) {
                return;
            }
            let job = Job { draw: mix.draw(), intended: Some(due), behind: self.clock.now().saturating_sub(due) };
            let tally = &self.tallies[job.draw.operation as usize];
            tally.offered.fetch_add(1, Relaxed);
            if let Err(TrySendError::Full(_) | TrySendError::Closed(_)) = self.queue.try_send(job) {
                tally.never_sent.fetch_add(1, Relaxed);
            }
        }
    }

    /// Sleeps until `due`; false where it was stopped.
    fn wait_until(&self, due: Duration) -> bool {
        loop {
            if self.stop.load(Relaxed) {
                return false;
            }
            let left = self.clock.until(due);
            if left.is_zero() {
                return true;
            }
            std::thread::park_timeout(left);
        }
    }
}
