//! `--resume`: a run that was killed or interrupted goes on. What it has measured is kept.

use std::path::Path;

use record::{Expected, Fingerprint, Run, RunDir, State, gather};

use crate::ctx::Ctx;
use crate::exit::Failure;
use crate::fixture::git_revision;
use crate::report::locate;

/// A run that is to go on.
pub(crate) struct Resumed {
    pub(crate) run_dir: RunDir,
    pub(crate) run: Run,
}

impl Resumed {
    /// The run called `name` in `results`, which has to have been asked for by the same words, on this machine, at this revision.
    pub(crate) fn find(ctx: &Ctx, results: &Path, name: &str, words: &[String]) -> Result<Self, Failure> {
        let path = locate(results, Some(Path::new(name)));
        // `latest` would soon be another one.
        let run_dir = RunDir::at(path.canonicalize().unwrap_or(path));
        let run = gather(&run_dir)?;
        let of = &run.run_id;
        if without_resume(&run.command) != without_resume(words) {
            let asked = run.command_line();
            return Err(Failure::usage(format!("run {of} was asked for as `{asked}`: add `--resume={of}` to that")));
        }
        let (here, revision) = (Fingerprint::read(), git_revision(&ctx.root));
        // That the machine was started again is one of the reasons to resume.
        if !here.is_like(&run.fingerprint) {
            let message = format!("run {of} was measured on another machine ({:?}); this is {here:?}", run.fingerprint);
            return Err(Failure::usage(message));
        }
        if run.git_revision != revision {
            let was = &run.git_revision;
            let message = format!("run {of} was measured at revision {was}, and this is {revision}: check {was} out");
            return Err(Failure::usage(message));
        }
        Ok(Self { run_dir, run: Run { state: State::Incomplete, ..run } })
    }

    /// The rows that need not run again: they were measured, or are a comparator's with their result.
    pub(crate) fn measured(&self) -> Vec<Expected> {
        let measured = self.run.trials.iter().filter(|trial| trial.verdict.is_measured() || trial.ended_well());
        measured.map(|trial| Expected { suite: trial.suite.clone(), test: trial.test.clone() }).collect()
    }
}

/// A command line from its verb on, but for `--resume`.
fn without_resume(words: &[String]) -> Vec<&str> {
    let words = words.iter().map(String::as_str).skip_while(|word| *word != "run");
    words.filter(|word| *word != "--resume" && !word.starts_with("--resume=")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::the_last_one("run kperf --resume")]
    #[case::by_its_id("run --resume=20261127-113440-388d kperf")]
    #[case::not_at_all("cargo xtask run kperf")]
    fn a_command_is_the_same_but_for_resume(#[case] line: &str) {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(without_resume(&words), ["run", "kperf"]);
    }
}
