//! `cargo xtask bench`: what a thing of ours costs beside the tool that people would use in its place. Pairs, interleaved,
//! in one run: on a shared machine only the ratio means something.

mod fixture;
mod kperf;
mod paired;

pub(crate) use fixture::sweep;

use crate::cli::{BenchArgs, BenchOf};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::lock::one_run_at_a_time;

pub(crate) async fn bench(ctx: &Ctx, args: &BenchArgs) -> Result<Exit, Failure> {
    let _lock = one_run_at_a_time(ctx, "bench", "cargo xtask bench")?;
    let figures = match args.of {
        BenchOf::Fixture => fixture::measure(ctx, args.pairs).await?,
        BenchOf::Kperf => kperf::measure(ctx, args.pairs).await?,
    };
    Ok(paired::show(&figures))
}
