//! `cargo xtask bench`: what a thing of ours costs beside the tool that people would use in its place, in interleaved pairs,
//! because on a shared machine only the ratio means something; and what has a limit of its own: a run beside its rows, its
//! report, and a comparison.

mod again;
mod compare;
mod fixture;
mod kperf;
mod paired;
mod report;

pub(crate) use fixture::sweep;

use crate::cli::{BenchArgs, BenchOf};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::lock::one_run_at_a_time;

pub(crate) async fn bench(ctx: &Ctx, args: &BenchArgs) -> Result<Exit, Failure> {
    // The runs that are measured take the lock themselves.
    let _lock = (args.of != BenchOf::Run).then(|| one_run_at_a_time(ctx, "bench", "cargo xtask bench")).transpose()?;
    let figures = match args.of {
        BenchOf::Run => again::measure(ctx, args.pairs)?,
        BenchOf::Fixture => fixture::measure(ctx, args.pairs).await?,
        BenchOf::Report => report::measure(ctx, args.pairs)?,
        BenchOf::Compare => compare::measure(ctx, args.pairs)?,
        BenchOf::Kperf => kperf::measure(ctx, args.pairs).await?,
    };
    Ok(paired::show(&figures))
}
