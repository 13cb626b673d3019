//! `spegel-bench`. This file parses and dispatches, no more.

mod cli;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use spegel_suite::analysis::{Read, boxplot, compare, points, rates_table, table};
use spegel_suite::external::Tool;

use crate::cli::{AnalyzeArgs, BenchmarkArgs, Cli, Command, Form};

/// How a command ends: the numbers are those of `cargo xtask`.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Exit {
    /// What was asked for was done.
    Done = 0,
    /// A file or an argument is wrong.
    Usage = 2,
    /// The cluster cannot be used, or a file cannot be written.
    Environment = 3,
    /// Some pulls were not seen: the results are of the others.
    Incomplete = 11,
}

/// A failure with what it ends with.
type Failure = (Exit, String);

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Benchmark(args) => benchmark(args),
        Command::Analyze(args) => analyze(&args),
    };
    let exit = ended.unwrap_or_else(|(exit, message)| {
        say(&format!("error: {message}"));
        exit
    });
    ExitCode::from(exit as u8)
}

fn benchmark(args: BenchmarkArgs) -> Result<Exit, Failure> {
    let environment = |error: &dyn std::fmt::Display| (Exit::Environment, error.to_string());
    let images = args.images.try_into().map_err(|_| (Exit::Usage, "--images takes two images".to_owned()))?;
    let tool = Tool {
        name: args.name,
        namespace: args.namespace,
        images,
        max_unavailable: args.max_unavailable,
        limit: args.timeout,
        warm: args.warm,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| environment(&error))?;
    let outcome = runtime.block_on(async {
        let client = cluster::connect_to(&args.kubeconfig).await.map_err(|error| environment(&error))?;
        tool.run(&client, say).await.map_err(|error| environment(&error))
    })?;
    outcome.remarks.iter().for_each(|remark| say(remark));
    let written = match args.form {
        Form::Old => outcome.suite.to_old(),
        Form::New => serde_json::to_vec_pretty(&outcome.suite),
    };
    let file = args.result_dir.join(format!("{}.json", tool.name));
    write(&file, &written.map_err(|error| environment(&error))?)?;
    print(&format!("{}\n", file.display()));
    Ok(if outcome.missing == 0 { Exit::Done } else { Exit::Incomplete })
}

fn analyze(args: &AnalyzeArgs) -> Result<Exit, Failure> {
    let paths = [&args.paths[..], &args.path, &args.suite_paths].concat();
    let read = Read::of(&paths).map_err(|error| (Exit::Usage, error.to_string()))?;
    let comparisons = compare(&read.suites);
    if comparisons.is_empty() {
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err((Exit::Usage, format!("there are no pulls in {}", paths.join(", "))));
    }
    if read.passed_over > 0 {
        say(&format!("{} JSON files of other forms passed over", read.passed_over));
    }
    let points = points(&paths).map_err(|error| (Exit::Usage, error.to_string()))?;
    let rates = if points.is_empty() { String::new() } else { format!("\n{}", rates_table(&points)) };
    let table = table(&comparisons) + &rates;
    print(&table);
    if let Some(directory) = &args.output_dir {
        write(&directory.join("table.md"), table.as_bytes())?;
        for comparison in &comparisons {
            let file = format!("{}-{}.svg", comparison.cell, comparison.step);
            write(&directory.join(file.replace(['/', ':'], "_")), boxplot(comparison).as_bytes())?;
        }
    }
    Ok(Exit::Done)
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let directory = file.parent().unwrap_or(Path::new("."));
    let written = fs_err::create_dir_all(directory).and_then(|()| fs_err::write(file, bytes));
    written.map_err(|error| (Exit::Environment, error.to_string()))
}

fn print(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).ok();
}

/// A line on stderr.
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}
