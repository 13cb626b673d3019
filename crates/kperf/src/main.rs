//! `kperf`. This file parses and dispatches, no more.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;
use kperf::{Exit, Result, lint, nodepool, print, runner, runnergroup, say};

use crate::cli::{
    Cli, Command, NodepoolArgs, NodepoolCommand, ProfileCommand, RunnerCommand, RunnergroupArgs, RunnergroupCommand,
    VirtualclusterCommand,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(dispatch(cli)),
        Err(error) => {
            say(&format!("error: cannot start a runtime: {error}"));
            return Exit::Environment.into();
        }
    };
    outcome
        .unwrap_or_else(|error| {
            say(&format!("error: {error}"));
            error.exit()
        })
        .into()
}

async fn dispatch(cli: Cli) -> Result<Exit> {
    match cli.command {
        Command::Runner { command: RunnerCommand::Run(args) } => runner::run(&args.into_run(cli.verbosity)).await,
        Command::Runnergroup(args) => groups(args, cli.verbosity).await,
        Command::Virtualcluster { command: VirtualclusterCommand::Nodepool(args) } => nodepools(args).await,
        Command::Profile { command: ProfileCommand::Lint(args) } => lint::lint(&args.into_lint()).await,
    }
}

async fn groups(args: RunnergroupArgs, verbosity: u8) -> Result<Exit> {
    let kubeconfig = args.kubeconfig;
    match args.command {
        RunnergroupCommand::Run(args) => runnergroup::run(&args.into_run(kubeconfig)).await?,
        RunnergroupCommand::Status => {
            let client = kperf::client(kubeconfig).await?;
            print(&runnergroup::table(&runnergroup::groups(&client).await?))?;
        }
        RunnergroupCommand::Result { name, wait, timeout, format, latency } => {
            let client = kperf::client(kubeconfig).await?;
            let timeout = wait.then_some(timeout);
            let result = runnergroup::result(&client, name.as_deref(), timeout, format, latency).await?;
            print(&String::from_utf8_lossy(&result.json))?;
            return Ok(if result.is_whole() { Exit::Done } else { Exit::NotMeasured });
        }
        RunnergroupCommand::Delete => runnergroup::delete(&kperf::client(kubeconfig).await?).await?,
        RunnergroupCommand::Supervise { name } => runnergroup::supervise(kubeconfig, &name, verbosity).await?,
        RunnergroupCommand::Runner { name, index } => return runnergroup::run_one(kubeconfig, &name, index).await,
    }
    Ok(Exit::Done)
}

async fn nodepools(args: NodepoolArgs) -> Result<Exit> {
    let client = kperf::client(args.kubeconfig).await?;
    match args.command {
        NodepoolCommand::Add(args) => {
            let (pool, affinity) = args.into_pool();
            nodepool::add(&client, &pool, &affinity).await?;
        }
        NodepoolCommand::BatchAdd { pool, batch_size } => {
            let (pool, affinity) = pool.into_pool();
            nodepool::batch_add(&client, &pool, &affinity, batch_size).await?;
        }
        NodepoolCommand::List => print(&nodepool::table(&nodepool::list(&client).await?))?,
        NodepoolCommand::Delete { name } => nodepool::delete(&client, &name).await?,
    }
    Ok(Exit::Done)
}
