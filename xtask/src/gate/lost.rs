//! Repeats that were lost: a run that is invalid, or left no data, says nothing about its build, and is no reason to throw
//! away all others. The repeat is run again for both arms, so that pairs stay pairs; how often is bounded, because a build
//! that spoils its runs has to be seen.

use std::path::{Path, PathBuf};

use measure::Verdict;
use measure::arms::{Round, Run, Schedule, spare};
use record::ArmRun;
use serde::Serialize;

use super::series::{Ended, Next};
use crate::ctx::say;

/// The repeats that a gate has lost so far.
pub(crate) struct Lost {
    directory: PathBuf,
    spare: usize,
    /// In the order in which they were lost.
    pub(crate) repeats: Vec<LostRepeat>,
    /// Why the gate cannot go on, once it cannot.
    pub(crate) unfit: Option<String>,
}

/// A repeat that was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LostRepeat {
    /// Its number.
    repeat: usize,
    /// The arm whose run was lost.
    arm: String,
    /// How that run ended.
    verdict: Verdict,
    /// Why.
    reason: String,
    /// The repeat that takes its place.
    again_as: usize,
}

impl Lost {
    /// None yet, of a gate of so many pairs whose runs lie in `directory`.
    pub(crate) fn new(directory: &Path, pairs: usize) -> Self {
        Self { directory: directory.to_owned(), spare: spare(pairs), repeats: Vec::new(), unfit: None }
    }

    /// Looks at how a run ended, and has its repeat run again where it was lost.
    pub(crate) fn look(&mut self, schedule: &mut Schedule, run: &Run, ended: &Ended) -> Next {
        // What a warm-up measures is thrown away in any case.
        let Round::Repeat(repeat) = run.round else { return Next::Run };
        if ended.verdict.is_measured() {
            return Next::Run;
        }
        let what = format!("{} is {}: {}", run.arm, ended.verdict, ended.reason);
        // A system that stalls, or is too slow to end, is a finding and no accident.
        if !matches!(ended.verdict, Verdict::Invalid | Verdict::NoData) {
            self.unfit = Some(what);
            return Next::Stop;
        }
        if self.repeats.len() == self.spare {
            let before: Vec<&str> = self.repeats.iter().map(|lost| lost.arm.as_str()).collect();
            self.unfit = Some(format!(
                "{what}; {} repeats were lost before (of {}), and no more may be run again",
                self.spare,
                before.join(", ")
            ));
            return Next::Stop;
        }
        let Some(again_as) = schedule.again(repeat) else { return Next::Run };
        self.set_aside(repeat, schedule);
        let (arm, reason) = (run.arm.clone(), ended.reason.clone());
        self.repeats.push(LostRepeat { repeat, arm, verdict: ended.verdict, reason, again_as });
        Next::LeaveRepeat
    }

    /// Moves the runs of a lost repeat out of the arms: what they left is kept, and compared with nothing.
    fn set_aside(&self, repeat: usize, schedule: &Schedule) {
        for run in schedule.runs.iter().filter(|run| run.round == Round::Repeat(repeat)) {
            let place = ArmRun::from(run).directory();
            let from = self.directory.join(&place);
            let to = self.directory.join("lost").join(place.trim_start_matches("arms/"));
            let moved = || {
                to.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                std::fs::rename(&from, &to)
            };
            if from.exists()
                && let Err(error) = moved()
            {
                say(&format!("cannot move {} to {}: {error}", from.display(), to.display()));
            }
        }
    }

    /// What was lost and run again, as Markdown; empty when nothing was.
    pub(crate) fn markdown(&self) -> String {
        let each = self.repeats.iter().map(|lost| {
            let LostRepeat { repeat, arm, verdict, reason, again_as } = lost;
            format!("repeat {repeat}, of which {arm} is {verdict} ({reason}), again as repeat {again_as}")
        });
        match each.collect::<Vec<_>>() {
            none if none.is_empty() => String::new(),
            each => format!("\nLost and run again for both arms: {}.\n", each.join("; ")),
        }
    }
}
