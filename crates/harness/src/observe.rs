//! The observer: a thread that reads /proc every second, of the components, of the machine and of the harness itself.
//!
//! It sends nothing, and costs about 3 ms a second, most of it the yardstick's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use cluster::{Component, Process, State, Usage};
use procfs::{Current as _, CurrentSI as _};
use record::{HarnessUse, MachineUse};

use crate::yardstick::Yardstick;

const EVERY: Duration = Duration::from_secs(1);

/// One look at the components.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Offset from the start of the trial.
    pub(crate) at: Duration,
    /// In the order of the components; absent for a dead one.
    pub(crate) usage: Vec<Option<Usage>>,
    /// CPU time of the yardstick.
    pub(crate) yardstick: Duration,
}

#[derive(Debug, Default)]
struct Seen {
    samples: Vec<Sample>,
    deaths: BTreeMap<i32, String>,
    expected_deaths: BTreeSet<i32>,
    clock_step: f64,
}

/// A running observer; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Observer {
    names: Vec<String>,
    components: Arc<Mutex<Vec<Component>>>,
    clock: Instant,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    machine_before: Option<CpuTimes>,
    threads_before: BTreeMap<i32, u64>,
    load_at_start: f64,
}

/// CPU time of the machine, in ticks.
#[derive(Clone, Copy, Debug, Default)]
struct CpuTimes {
    busy: u64,
    steal: u64,
    total: u64,
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            thread.join().ok();
        }
    }
}

impl Observer {
    /// Starts to look; `tick` is called after every look, with the offset.
    pub(crate) fn start(components: &[Component], clock: Instant, tick: impl Fn(Duration) + Send + 'static) -> Self {
        let names = components.iter().map(|component| component.name.clone()).collect();
        let components = Arc::new(Mutex::new(components.to_vec()));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("observer".to_owned()).spawn({
            let (components, seen, stop) = (Arc::clone(&components), Arc::clone(&seen), Arc::clone(&stop));
            move || watch(&components, clock, &seen, &stop, tick)
        });
        Self {
            names,
            components,
            clock,
            seen,
            stop,
            thread: thread.ok(),
            machine_before: cpu_times(),
            threads_before: cpu_waits(),
            load_at_start: procfs::LoadAverage::current().map_or(0.0, |load| f64::from(load.one)),
        }
    }

    /// Goes on with these components: one that was started again is another process, and its predecessor has died.
    pub(crate) fn follow(&self, components: &[Component]) {
        let mut observed = lock(&self.components);
        for (component, now) in observed.iter_mut().zip(components) {
            if component.process != now.process {
                let death = death(component, self.clock.elapsed());
                lock(&self.seen).deaths.entry(component.process.pid).or_insert(death);
                *component = now.clone();
            }
        }
    }

    /// Looks at one more component from now on; one of the same name takes its predecessor's place.
    pub(crate) fn observe(&mut self, component: &Component) {
        let mut observed = lock(&self.components);
        match observed.iter_mut().find(|known| known.name == component.name) {
            Some(known) => *known = component.clone(),
            None => {
                self.names.push(component.name.clone());
                observed.push(component.clone());
            }
        }
    }

    /// That process is about to be ended by the trial itself.
    pub(crate) fn expect_death(&self, process: Process) {
        lock(&self.seen).expected_deaths.insert(process.pid);
    }

    /// CPU and memory of each living component now, and which process it is.
    pub(crate) fn usage(&self) -> BTreeMap<String, (Process, Usage)> {
        let usage =
            |component: &Component| Some((component.name.clone(), (component.process, component.process.usage()?)));
        lock(&self.components).iter().filter_map(usage).collect()
    }

    /// Every look so far.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        lock(&self.seen).samples.clone()
    }

    /// Every look at one component while it lived.
    pub(crate) fn series_of(&self, name: &str) -> Vec<(Duration, Usage)> {
        let Some(index) = self.names().position(|known| known == name) else { return Vec::new() };
        let seen = lock(&self.seen);
        seen.samples.iter().filter_map(|sample| Some((sample.at, (*sample.usage.get(index)?)?))).collect()
    }

    /// The components' names, in the order of a sample.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The median CPU time of the yardstick between two offsets; of the whole trial when there were fewer than three
    /// looks in between.
    pub(crate) fn yardstick(&self, from: Duration, to: Duration) -> Option<Duration> {
        let seen = lock(&self.seen);
        let all = || seen.samples.iter();
        let within = all().filter(|sample| sample.at >= from && sample.at <= to);
        let mut times: Vec<Duration> = within.map(|sample| sample.yardstick).collect();
        if times.len() < 3 {
            times = all().map(|sample| sample.yardstick).collect();
        }
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }

    /// Components that died and should not have, in words.
    pub(crate) fn deaths(&self) -> Vec<String> {
        let seen = lock(&self.seen);
        let unexpected = seen.deaths.iter().filter(|(pid, _)| !seen.expected_deaths.contains(pid));
        unexpected.map(|(_, death)| death.clone()).collect()
    }

    /// What the machine did since the start.
    pub(crate) fn machine(&self) -> MachineUse {
        let (before, after) = (self.machine_before.unwrap_or_default(), cpu_times().unwrap_or_default());
        let total = after.total.saturating_sub(before.total).max(1) as f64;
        let yardstick = self.yardstick(Duration::ZERO, Duration::MAX).unwrap_or_default();
        let clock_step_ms = lock(&self.seen).clock_step;
        MachineUse {
            busy_share: after.busy.saturating_sub(before.busy) as f64 / total,
            steal_share: after.steal.saturating_sub(before.steal) as f64 / total,
            load_at_start: self.load_at_start,
            clock_step_ms,
            yardstick_ms: yardstick.as_secs_f64() * 1e3,
        }
    }

    /// What the harness itself used since the start. Requests and bytes are the caller's.
    pub(crate) fn harness(&self) -> HarnessUse {
        let usage = Process::this().usage().unwrap_or_default();
        let status = procfs::process::Process::myself().and_then(|process| process.status()).ok();
        let peak_rss_bytes = status.and_then(|status| status.vmhwm).map_or(usage.rss_bytes, |kib| kib * 1024);
        let elapsed = self.clock.elapsed().as_nanos().max(1) as f64;
        let waits = cpu_waits();
        let worst =
            waits.iter().map(|(thread, wait)| wait - self.threads_before.get(thread).unwrap_or(&0).min(wait)).max();
        HarnessUse {
            cpu_s: usage.cpu_s,
            peak_rss_bytes,
            cpu_wait_share: worst.map(|worst| worst as f64 / elapsed),
            ..HarnessUse::default()
        }
    }
}

fn watch(
    components: &Mutex<Vec<Component>>,
    clock: Instant,
    seen: &Mutex<Seen>,
    stop: &AtomicBool,
    tick: impl Fn(Duration),
) {
    let wall_offset = || {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
            - clock.elapsed().as_secs_f64()
    };
    let offset_at_start = wall_offset();
    let work = Yardstick::new();
    while !stop.load(Ordering::Relaxed) {
        let at = clock.elapsed();
        let components = lock(components).clone();
        let usage = components.iter().map(|component| component.process.usage()).collect();
        let step = (wall_offset() - offset_at_start) * 1e3;
        let yardstick = work.measure();
        {
            let mut seen = lock(seen);
            seen.samples.push(Sample { at, usage, yardstick });
            if step.abs() > seen.clock_step.abs() {
                seen.clock_step = step;
            }
            for component in components.iter().filter(|component| component.process.state() == State::Dead) {
                seen.deaths.entry(component.process.pid).or_insert_with(|| death(component, at));
            }
        }
        tick(at);
        std::thread::park_timeout(EVERY);
    }
}

fn death(component: &Component, at: Duration) -> String {
    format!("{} ({}) died by +{:.0} s", component.name, component.process, at.as_secs_f64())
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cpu_times() -> Option<CpuTimes> {
    let total = procfs::KernelStats::current().ok()?.total;
    let idle = total.idle + total.iowait.unwrap_or(0);
    let steal = total.steal.unwrap_or(0);
    let busy = total.user + total.nice + total.system + total.irq.unwrap_or(0) + total.softirq.unwrap_or(0);
    Some(CpuTimes { busy, steal, total: busy + idle + steal })
}

/// Nanoseconds that each thread of this process was ready and had no CPU (`/proc/self/task/*/schedstat`).
fn cpu_waits() -> BTreeMap<i32, u64> {
    let tasks = procfs::process::Process::myself().and_then(|process| process.tasks());
    let waits = tasks.into_iter().flatten().flatten().filter_map(|task| {
        let path = format!("/proc/self/task/{}/schedstat", task.tid);
        let text = std::fs::read_to_string(path).ok()?;
        Some((task.tid, text.split_ascii_whitespace().nth(1)?.parse().ok()?))
    });
    waits.collect()
}
