//! The command line: that of the document, and the flags of the newer tool where they differ.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// How long image pulls take in a cluster, with a mirror and without.
#[derive(Debug, Parser)]
#[command(name = "spegel-bench", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a DaemonSet with one image and update it to another, and keep how long each node pulled.
    Benchmark(BenchmarkArgs),
    /// Set results against each other: a table, and a box plot of each step.
    Analyze(AnalyzeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BenchmarkArgs {
    /// Directory of the results, which is made.
    #[arg(long, visible_alias = "output-dir", value_name = "DIR")]
    pub(crate) result_dir: PathBuf,
    /// What the results are called: NAME.json.
    #[arg(long)]
    pub(crate) name: String,
    /// The cluster.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub(crate) kubeconfig: PathBuf,
    /// Where the DaemonSet goes; made when it is not there.
    #[arg(long, default_value = "spegel-benchmark")]
    pub(crate) namespace: String,
    /// The image to create with and the one to update to.
    #[arg(long, num_args = 2, required = true, value_names = ["V1", "V2"])]
    pub(crate) images: Vec<String>,
    /// Pods that the update replaces at once; the newer tool replaces 20 % of them. Ours.
    #[arg(long, default_value_t = 1, value_name = "PODS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_unavailable: u32,
    /// How long each step may take. Ours.
    #[arg(long, default_value = "1800", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Run also when a node holds an image already, which it then does not pull. Ours.
    #[arg(long)]
    pub(crate) warm: bool,
    /// The form of the results. Ours.
    #[arg(long, value_enum, default_value_t = Form::Old)]
    pub(crate) form: Form,
}

/// A form of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// That of the document's tool.
    Old,
    /// That of the newer tool, by which cells have names.
    New,
}

#[derive(Debug, Args)]
pub(crate) struct AnalyzeArgs {
    /// Results of any form, directories of them, or runs of this suite. The first arm is the one to compare with.
    #[arg(value_name = "PATH", required_unless_present_any = ["path", "suite_paths"])]
    pub(crate) paths: Vec<PathBuf>,
    /// The same, as the document's tool takes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) path: Vec<PathBuf>,
    /// The same, as the newer tool takes it.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pub(crate) suite_paths: Vec<PathBuf>,
    /// Directory of the table and the plots, which is made; without it the table is printed and nothing is drawn.
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).map_err(|_| format!("`{text}` is no whole number of seconds"))
}
