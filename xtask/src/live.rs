//! What a run is doing, from the files that its trials write: a line that moves on a terminal, some plain lines
//! elsewhere.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use indicatif::{ProgressBar, ProgressStyle};
use measure::human;
use record::{Expected, RunDir};

use crate::ctx::say;

/// At most this often does a row that goes on print a line in a log.
const PLAIN_INTERVAL: Duration = Duration::from_secs(15);

/// The display of one run.
#[derive(Debug)]
pub(crate) struct Live {
    run_dir: RunDir,
    rows: Vec<Expected>,
    /// Files that are older are of the run that this one resumes.
    since: SystemTime,
    finished: BTreeSet<String>,
    bar: Option<ProgressBar>,
    last_line: (Instant, String),
}

impl Live {
    pub(crate) fn start(run_dir: &RunDir, rows: &[Expected]) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(
                ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        let last_line = (Instant::now(), String::new());
        let (run_dir, rows, since) = (run_dir.clone(), rows.to_vec(), SystemTime::now());
        Self { run_dir, rows, since, finished: BTreeSet::new(), bar, last_line }
    }

    /// Looks at the files and shows what changed.
    pub(crate) fn look(&mut self) {
        for row in &self.rows {
            let name = format!("{} {}", row.suite, row.test);
            if self.finished.contains(&name) {
                continue;
            }
            if !self.is_of_now(&self.run_dir.trial_path(&row.suite, &row.test)) {
                continue;
            }
            let Some(trial) = self.run_dir.trial(&row.suite, &row.test) else { continue };
            if let Some(verdict) = trial.verdict {
                let took = human(Duration::from_secs_f64(trial.wall_s.max(0.0)));
                self.line(&format!("{verdict:>11}  {name}  {took}  {}", trial.reason));
                self.finished.insert(name);
            }
        }
        let Some((name, doing)) = self.running() else { return };
        let count = format!("[{}/{}]", self.finished.len() + 1, self.rows.len());
        let line = format!("{count} {name}: {doing}");
        match &self.bar {
            Some(bar) => bar.set_message(line),
            None => {
                let phase = doing.split(' ').next().unwrap_or_default().to_owned();
                if phase != self.last_line.1 || self.last_line.0.elapsed() > PLAIN_INTERVAL {
                    say(&line);
                    self.last_line = (Instant::now(), phase);
                }
            }
        }
    }

    pub(crate) fn stop(mut self) {
        self.look();
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn running(&self) -> Option<(String, String)> {
        let unfinished = |row: &&Expected| !self.finished.contains(&format!("{} {}", row.suite, row.test));
        self.rows.iter().filter(unfinished).find_map(|row| {
            let path = self.run_dir.progress_path(&row.suite, &row.test);
            if !self.is_of_now(&path) {
                return None;
            }
            Some((format!("{} {}", row.suite, row.test), std::fs::read_to_string(path).ok()?))
        })
    }

    fn is_of_now(&self, path: &Path) -> bool {
        // A file's time is that of the kernel's last tick, which may lie some milliseconds back.
        const TICK: Duration = Duration::from_millis(20);
        std::fs::metadata(path).and_then(|file| file.modified()).is_ok_and(|modified| modified + TICK >= self.since)
    }

    fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => say(line),
        }
    }
}
