//! `cargo xtask compare` of two arms as a gate leaves them, from their files to the table.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use measure::Verdict;
use record::{
    ArmRun, ComponentUse, METRICS, Part, PhaseRecord, Run, RunDir, SCHEMA, SlowObject, State, Trial, new_run_id,
};

use super::fixture::{Scratch, succeeded};
use super::paired::{Figure, Limit};
use crate::ctx::{Ctx, say};
use crate::exit::Failure;

/// Run directories of each arm, and trials in each of them: two arms of 100 trials.
const RUNS: usize = 10;
const TRIALS: usize = 10;
/// The suite, and the row of it that two builds are compared by; its other rows are read as well.
const SUITE: &str = "kperf-suite";
const ROW: &str = "nodepool_gate";
const PHASES: [&str; 5] = ["create-nodes", "create-pods", "roll-pods", "delete-pods", "delete-nodes"];
const COMPONENTS: [&str; 5] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok-controller"];

pub(super) fn measure(ctx: &Ctx, times: u32) -> Result<Vec<Figure>, Failure> {
    let scratch = Scratch::new(ctx)?;
    let arms = ["base", "head"].map(|arm| scratch.path().join(arm));
    let id = new_run_id();
    for (arm, directory) in ["base", "head"].into_iter().zip(&arms) {
        write_arm(directory, arm, &id)?;
    }
    let mut took = Figure::new("compare of two arms of 10 runs and 100 trials each", "s", Limit::AtMost(1.0));
    for time in 1..=times {
        say(&format!("compare {time}/{times}"));
        took.ours.push(compared(&arms)?);
    }
    Ok(vec![took])
}

/// The built binary as people call it: its start is part of the figure. An answer about each metric has to be in what it says.
fn compared([base, head]: &[std::path::PathBuf; 2]) -> Result<f64, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::environment(error.to_string()))?;
    let started = Instant::now();
    let output = Command::new(program).arg("compare").args([base, head]).stdin(Stdio::null()).output();
    let took = started.elapsed().as_secs_f64();
    let said = output.as_ref().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    succeeded("compare", output.map(|output| output.status))?;
    match said.contains(ROW) && said.contains(&format!("over {RUNS} pairs")) {
        true => Ok(took),
        false => Err(Failure::environment(format!("compare did not judge what it should: {said}"))),
    }
}

fn write_arm(directory: &Path, arm: &str, id: &str) -> Result<(), Failure> {
    for repeat in 0..RUNS {
        let run_dir = RunDir::at(directory.join(format!("{repeat:03}")));
        // ABBA: the second of two repeats runs the other way round.
        let second = usize::from((arm == "head") == repeat.is_multiple_of(2));
        let place = ArmRun { arm: arm.to_owned(), repeat, warm_up: false, position: 2 * repeat + second };
        let run = Run {
            schema: SCHEMA,
            run_id: format!("{id}-{}", place.position),
            state: State::Complete,
            ..Run::default()
        };
        run_dir.write_json(&run_dir.run_json(), &run)?;
        let others = (1..TRIALS).map(|n| format!("nodepool_{n}"));
        for row in others.chain([ROW.to_owned()]) {
            run_dir.write_trial(&trial(&run.run_id, &row, &place))?;
        }
    }
    Ok(())
}

/// A trial of a pool of nodes, as large as its record is.
fn trial(run_id: &str, test: &str, place: &ArmRun) -> Trial {
    let noise = 1.0 + 0.01 * ((place.position * 37) % 11) as f64;
    let metrics = PHASES.iter().flat_map(|phase| {
        let phase = phase.replace('-', "_");
        let figures = [
            ("s", 8.0 * noise),
            ("api_requests_per_object", 5.6),
            ("etcd_wal_bytes_per_object", 11_000.0 * noise.sqrt()),
            ("yardsticks_per_object", 2.4 * noise),
        ];
        figures.map(|(figure, value)| (format!("{phase}_{figure}"), value))
    });
    Trial {
        schema: SCHEMA,
        metrics_version: METRICS,
        run_id: run_id.to_owned(),
        suite: SUITE.to_owned(),
        test: test.to_owned(),
        arm: Some(place.clone()),
        verdict: Some(Verdict::Pass),
        reason: "30 budgets met".to_owned(),
        deviations: vec!["Nodes and pods are simulated.".repeat(4); 6],
        phases: PHASES.iter().map(|name| phase(name, noise)).collect(),
        metrics: metrics.collect(),
        ..Trial::default()
    }
}

fn phase(name: &str, noise: f64) -> PhaseRecord {
    let used = |component: &&str| {
        let used = ComponentUse { cpu_s: 0.9 * noise, rss_bytes: 150 << 20 };
        ((*component).to_owned(), used)
    };
    let requests = (0..12).map(|n| (format!("PATCH kind-{n}"), 1_000.0 * noise));
    let parts = (0..8).map(|n| Part { name: format!("part {n}"), value: 12.5 * noise }).collect();
    PhaseRecord {
        name: name.to_owned(),
        took_s: 8.0 * noise,
        end: "complete after 8.00s".to_owned(),
        expected: 1_000,
        seen: 1_000,
        done: 1_000,
        slowest: vec![SlowObject { name: "deployment-1-00017".to_owned(), took_ms: 912.4 }; 5],
        components: COMPONENTS.iter().map(used).collect(),
        api_requests_by: requests.collect::<BTreeMap<_, _>>(),
        breakdowns: vec![record::Breakdown { name: "where the time goes".to_owned(), unit: "ms".to_owned(), parts }],
        ..PhaseRecord::default()
    }
}
