//! Showing what takes so long: a line that moves on a terminal, some plain lines elsewhere.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where progress is told. One job at a time: `start`, any number of `tick`s, `done`; a `done` may also come
/// alone, for a remark.
pub trait Progress: Send + Sync {
    /// A job begins: what is got, and where from.
    fn start(&self, what: &str, from: &str);
    /// The job goes on: what it is at, and how many bytes of how many are done, when that is known.
    fn tick(&self, detail: &str, done: Option<(u64, u64)>);
    /// The job has ended, for good or bad: one line that stays.
    fn done(&self, line: &str);
}

/// The implementation that suits this process's stderr.
pub fn on_stderr() -> Arc<dyn Progress> {
    if io::stderr().is_terminal() {
        Arc::new(Terminal::default())
    } else {
        Arc::new(Plain::new(io::stderr(), PLAIN_INTERVAL))
    }
}

/// At most this often does a job that goes on print a line in a log.
const PLAIN_INTERVAL: Duration = Duration::from_secs(15);

const UNMEASURED: &str = "{spinner} {prefix} {elapsed} {wide_msg}";
const MEASURED: &str = "{spinner} {prefix} {elapsed} {bar:24} {bytes} of {total_bytes} {wide_msg}";

/// A line on the terminal that moves, and stays as one line when the job has ended.
#[derive(Debug, Default)]
pub struct Terminal {
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    bar: ProgressBar,
    started: Instant,
    measured: bool,
}

impl Progress for Terminal {
    fn start(&self, what: &str, from: &str) {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style(UNMEASURED));
        bar.set_prefix(what.to_owned());
        bar.set_message(format!("from {from}"));
        bar.enable_steady_tick(Duration::from_millis(120));
        let running = Running { bar, started: Instant::now(), measured: false };
        *lock(&self.running) = Some(running);
    }

    fn tick(&self, detail: &str, done: Option<(u64, u64)>) {
        let mut running = lock(&self.running);
        let Some(Running { bar, measured, .. }) = running.as_mut() else { return };
        if let Some((position, length)) = done {
            if !*measured {
                bar.set_style(style(MEASURED));
                *measured = true;
            }
            bar.set_length(length);
            bar.set_position(position);
        }
        bar.set_message(detail.to_owned());
    }

    fn done(&self, line: &str) {
        let elapsed = lock(&self.running).take().map(|Running { bar, started, .. }| {
            bar.finish_and_clear();
            started.elapsed()
        });
        print(&mut io::stderr(), line, elapsed);
    }
}

/// Plain lines, for a log: one when a job starts, one now and then, one when it has ended.
pub struct Plain<W> {
    interval: Duration,
    state: Mutex<PlainState<W>>,
}

struct PlainState<W> {
    out: W,
    what: String,
    times: Option<Times>,
}

struct Times {
    started: Instant,
    printed: Instant,
}

impl<W: Write> Plain<W> {
    /// Writes to `out`, and a line for a job that goes on at most every `interval`.
    pub fn new(out: W, interval: Duration) -> Self {
        let state = PlainState { out, what: String::new(), times: None };
        Self { interval, state: Mutex::new(state) }
    }
}

impl<W: Write + Send> Progress for Plain<W> {
    fn start(&self, what: &str, from: &str) {
        let mut state = lock(&self.state);
        print(&mut state.out, &format!("{what} from {from}"), None);
        let now = Instant::now();
        state.what = what.to_owned();
        state.times = Some(Times { started: now, printed: now });
    }

    fn tick(&self, detail: &str, done: Option<(u64, u64)>) {
        let mut state = lock(&self.state);
        let PlainState { out, what, times: Some(times) } = &mut *state else { return };
        if times.printed.elapsed() < self.interval {
            return;
        }
        times.printed = Instant::now();
        let amount = done.map(|(n, of)| format!(" {} of {} MB", n / 1_000_000, of / 1_000_000));
        let line = format!("{what}: {detail}{}", amount.unwrap_or_default());
        print(out, &line, Some(times.started.elapsed()));
    }

    fn done(&self, line: &str) {
        let mut state = lock(&self.state);
        let elapsed = state.times.take().map(|times| times.started.elapsed());
        print(&mut state.out, line, elapsed);
    }
}

impl<W> fmt::Debug for Plain<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain").field("interval", &self.interval).finish_non_exhaustive()
    }
}

/// A line, and how long the job had taken by then. A stderr that is gone must not stop the work.
fn print(out: &mut impl Write, line: &str, elapsed: Option<Duration>) {
    let _ = match elapsed {
        Some(elapsed) => writeln!(out, "{line} ({} s)", elapsed.as_secs()),
        None => writeln!(out, "{line}"),
    };
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// What a thread that panicked has left is still good enough to print.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn printed(interval: Duration) -> String {
        let plain = Plain::new(Vec::new(), interval);
        plain.start("etcd v3.7.3", "https://host/etcd");
        plain.tick("downloading", Some((12_345_678, 24_700_000)));
        plain.done("etcd v3.7.3: release, etcd Version: 3.7.3");
        plain.done("a remark");
        String::from_utf8(plain.state.into_inner().unwrap().out).unwrap()
    }

    #[test]
    fn a_log_gets_a_line_for_the_start_and_one_for_the_end() {
        insta::assert_snapshot!(printed(PLAIN_INTERVAL), @r#"
        etcd v3.7.3 from https://host/etcd
        etcd v3.7.3: release, etcd Version: 3.7.3 (0 s)
        a remark
        "#);
    }

    #[test]
    fn a_log_gets_a_line_now_and_then() {
        insta::assert_snapshot!(printed(Duration::ZERO), @r#"
        etcd v3.7.3 from https://host/etcd
        etcd v3.7.3: downloading 12 of 24 MB (0 s)
        etcd v3.7.3: release, etcd Version: 3.7.3 (0 s)
        a remark
        "#);
    }

    #[rstest]
    #[case::unmeasured(UNMEASURED)]
    #[case::measured(MEASURED)]
    fn a_style_parses(#[case] template: &str) {
        ProgressStyle::with_template(template).unwrap();
    }
}
