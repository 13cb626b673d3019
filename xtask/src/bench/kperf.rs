//! Our kperf beside Azure/kperf, with the same profile on the same servers: a scripted one whose truth is known, a fast one,
//! and a real apiserver.

mod run;
mod servers;

use std::path::{Path, PathBuf};
use std::process::Command;

use cluster::Fixtures;

use super::fixture::{Scratch, xtask_up};
use super::paired::{self, Figure, Limit, Side};
use crate::ctx::{Ctx, say};
use crate::exit::Failure;
use run::{Latency, Runner};
use servers::{Fast, Stalling};

/// The name of Azure's in `thirdparty`.
const THEIRS: &str = "azure-kperf";

pub(super) async fn measure(ctx: &Ctx, pairs: u32) -> Result<Vec<Figure>, Failure> {
    let scratch = Scratch::new(ctx)?;
    let runner = Runner {
        ours: build(&ctx.root)?,
        theirs: ctx.thirdparty().ensure(THEIRS)?.path,
        scratch: scratch.path().to_owned(),
    };
    let state = scratch.path().join("ours");
    xtask_up(&state)?;
    let descriptor = Fixtures::new(&state).descriptor("default")?;
    servers::configmaps(&cluster::connect(&descriptor).await?).await?;

    let mut p95 = Figure::new("p95 under a stall of 1 s, of the truth", "", Limit::Within(0.01));
    let mut p99 = Figure::new("p99 under the stall, of the truth", "", Limit::Within(0.01));
    let mut rate = Figure::new("requests answered per second on one core", "per s", Limit::RatioAtLeast(2.0));
    let mut cpu = Figure::new("CPU ms per 1,000 lists of a real apiserver", "ms", Limit::RatioAtMost(0.5));
    let mut counts = Figure::new("requests answered of those asked for", "", Limit::Within(0.0));
    let mut median = Figure::new("service time on it, p50", "ms", Limit::Overlap);
    let mut p90 = Figure::new("service time on it, p90", "ms", Limit::Overlap);
    for pair in 0..pairs {
        for side in paired::order(pair) {
            let who = if side == Side::Ours { "ours" } else { "Azure/kperf" };
            say(&format!("pair {}/{pairs}: {who}", pair + 1));

            let stalling = Stalling::start();
            let run = runner.run(side, &stalling.kubeconfig(&state)?, servers::STALLED, Latency::Response)?;
            let truth = stalling.truth();
            for (figure, p) in [(&mut p95, 0.95), (&mut p99, 0.99)] {
                figure.push(side, run.quantile(p)? / truth.quantile(p)?);
            }

            let fast = Fast::start()?;
            let run = runner.on_one_core(side, &fast.kubeconfig(&state)?, servers::UNLIMITED)?;
            rate.push(side, run.answered as f64 / run.took_s);

            let run = runner.run(side, &descriptor.kubeconfig, servers::LISTS, Latency::Service)?;
            cpu.push(side, run.cpu_s * 1e3 / (run.answered as f64 / 1e3));
            counts.push(side, run.answered as f64 / servers::LISTS_TOTAL as f64);
            median.push(side, run.quantile(0.5)? * 1e3);
            p90.push(side, run.quantile(0.9)? * 1e3);
        }
    }
    Ok(vec![p95, p99, rate, cpu, counts, median, p90])
}

/// Our kperf as people install it: with optimisations.
fn build(root: &Path) -> Result<PathBuf, Failure> {
    say("kperf: building it with optimisations");
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--locked", "--profile", "perf", "--package", "kperf"]).current_dir(root);
    super::fixture::succeeded("cargo build of kperf", build.status())?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("perf/kperf"))
}
