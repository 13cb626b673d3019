//! `cargo xtask`: provisions clusters, runs suites, gathers results. This file parses and dispatches, no more.

mod bench;
mod cli;
mod cluster_verbs;
mod compare;
mod ctx;
mod doctor;
mod exit;
mod fault;
mod fixture;
mod gate;
mod gc;
mod guest;
mod kind;
mod live;
mod lock;
mod model;
mod nextest;
mod power;
mod preflight;
mod report;
mod run;
mod runner_image;
mod signals;
mod suites;
mod test;
mod tools;
mod waiting;

use clap::Parser as _;

use crate::cli::{Cli, Verb};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match (runtime, Ctx::from_env()) {
        (Ok(runtime), Ok(ctx)) => runtime.block_on(dispatch(cli.verb, &ctx)).map_err(|failure| (failure, Some(ctx))),
        (Err(error), _) => Err((Failure::new(Exit::Environment, format!("cannot start a runtime: {error}")), None)),
        (_, Err(failure)) => Err((failure, None)),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err((failure, ctx)) => {
            ctx::say(&format!("error: {failure}"));
            if failure.exit == Exit::Environment
                && let Some(ctx) = &ctx
            {
                doctor::print_lacks(ctx);
            }
            failure.exit.into()
        }
    }
}

async fn dispatch(verb: Verb, ctx: &Ctx) -> Result<Exit, Failure> {
    match verb {
        Verb::Doctor => doctor::doctor(ctx),
        Verb::Tools(args) => tools::tools(ctx, &args),
        Verb::Cluster(args) => cluster_verbs::cluster(ctx, args).await,
        Verb::NodeImage(args) => kind::node_image(ctx, &args),
        Verb::RunnerImage(args) => runner_image::runner_image(ctx, &args),
        Verb::Fixture(args) => fixture::fixture(ctx, &args).await,
        Verb::Run(args) => run::run(ctx, args).await,
        Verb::Report(args) => report::report(ctx, &args),
        Verb::Compare(args) => compare::compare_runs(ctx, &args),
        Verb::Gate(args) => gate::gate(ctx, &args).await,
        Verb::Power(args) => power::power(ctx, &args).await,
        Verb::Bench(args) => bench::bench(ctx, &args).await,
        Verb::Test(args) => test::test(ctx, &args).await,
    }
}
