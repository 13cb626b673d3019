//! What a run costs beside its rows, on a machine where everything is there already.

use std::process::{Command, Stdio};
use std::time::Instant;

use record::{RunDir, gather, tests_took_s};

use super::fixture::Scratch;
use super::paired::{Figure, Limit, Side};
use crate::ctx::{Ctx, say};
use crate::exit::{Exit, Failure};
use crate::report::locate;

/// The smoke rows of one suite, `times` times after one that warms up.
pub(super) fn measure(ctx: &Ctx, times: u32) -> Result<Vec<Figure>, Failure> {
    let scratch = Scratch::new(ctx)?;
    let program = std::env::current_exe().map_err(|error| Failure::environment(error.to_string()))?;
    let mut more = Figure::new("second `cargo xtask run kperf`, over its trials", "s", Limit::AtMost(10.0));
    for time in 0..=times {
        say(&format!("run {time}/{times}{}", if time == 0 { ", which warms up" } else { "" }));
        let results = scratch.path().join(format!("results-{time}"));
        let started = Instant::now();
        let status =
            Command::new(&program).args(["run", "kperf", "--out"]).arg(&results).stdout(Stdio::null()).status();
        let wall_s = started.elapsed().as_secs_f64();
        // A row that misses a budget took its time all the same.
        let code = status.ok().and_then(|status| status.code());
        if ![Exit::Ok, Exit::BudgetFailed].iter().any(|exit| code == Some(*exit as i32)) {
            return Err(Failure::environment(format!("`cargo xtask run kperf` ended with {code:?}")));
        }
        let directory = locate(&results, None);
        let run = gather(&RunDir::at(&directory))?;
        let trials_s = tests_took_s(&directory.join("junit.xml"))?;
        let measured_s: f64 = run.trials.iter().map(|trial| trial.wall_s).sum();
        say(&format!(
            "the run took {wall_s:.1} s, its {} trials {trials_s:.1} s, of which {measured_s:.1} s were measured",
            run.trials.len()
        ));
        if time > 0 {
            more.push(Side::Ours, wall_s - trials_s);
        }
    }
    Ok(vec![more])
}
