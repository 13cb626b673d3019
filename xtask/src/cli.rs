//! The command line, and its help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Published Kubernetes performance claims as tests that anyone can run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 110)]
#[command(after_help = "\
Examples:
  cargo xtask run                       bring up what is needed, run every suite's smoke rows, report
  cargo xtask run kperf --profile published
  cargo xtask cluster up --name big --nodes 1000
                                        a real control plane with 1,000 simulated nodes
  cargo xtask doctor                    what this machine lacks, and how to get it

Exit codes: 0 all passed; 1 a check of this repository failed; 2 usage; 3 environment; 10 a budget failed;
11 invalid, no-data, stalled or timed out; 12 nothing ran; 13 only unsupported rows were asked for.

Files: clusters in $KUBEDYNO_STATE (~/.local/state/kubedyno), programs in $KUBEDYNO_CACHE (~/.cache/kubedyno).")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Say what this machine has and lacks, each lack with its fix.
    Doctor,
    /// Get or show the pinned programs.
    Tools(ToolsArgs),
    /// Bring clusters up and down, and look at them.
    Cluster(ClusterArgs),
    /// What nextest's setup scripts call.
    #[command(hide = true)]
    Fixture(FixtureArgs),
    /// Run suites: tools, cluster, rows, results, report.
    Run(RunArgs),
    /// Show a run again, from its files.
    Report(ReportArgs),
    /// Measure the fixture itself beside kwokctl, in interleaved pairs.
    Bench(BenchArgs),
    /// Check this repository itself: format, lints, unit tests, smoke rows.
    Test(TestArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ToolsArgs {
    #[command(subcommand)]
    pub(crate) verb: ToolsVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ToolsVerb {
    /// Get every pinned program that is not there yet.
    Ensure {
        /// Only these.
        names: Vec<String>,
        /// Hash what is cached instead of trusting its size and time.
        #[arg(long)]
        verify: bool,
    },
    /// Show each program: version, source, path.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    pub(crate) verb: ClusterVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterVerb {
    /// Adopt a healthy cluster, repair a broken one, or make one.
    #[command(after_help = "Examples:\n  cargo xtask cluster up\n  cargo xtask cluster up --name big --nodes 1000\n  \
        export KUBECONFIG=$(cargo xtask cluster up --json | jq -r .kubeconfig)")]
    Up {
        /// The cluster's name.
        #[arg(long, default_value = "default")]
        name: String,
        /// Where the cluster comes from.
        #[arg(long, value_enum, default_value_t = ProviderName::Kwok)]
        provider: ProviderName,
        /// Simulated nodes that it should have; those that are there already stay.
        #[arg(long, default_value_t = 0)]
        nodes: u32,
        /// CPUs of a node.
        #[arg(long, default_value_t = 32)]
        node_cpu: u32,
        /// Memory of a node in GiB.
        #[arg(long, default_value_t = 96)]
        node_memory_gib: u32,
        /// Pods that fit on a node.
        #[arg(long, default_value_t = 110)]
        node_max_pods: u32,
        /// Print the transcript and do nothing.
        #[arg(long)]
        dry_run: bool,
        /// Print the descriptor as JSON.
        #[arg(long)]
        json: bool,
    },
    /// End a cluster and remove its files.
    Down {
        /// The cluster's name.
        #[arg(long, default_value = "default")]
        name: String,
        /// Even while a test holds its lease.
        #[arg(long)]
        force: bool,
        /// Print the transcript and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// List the clusters of this machine.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a cluster's components, settings and users.
    Status {
        /// The cluster's name.
        #[arg(long, default_value = "default")]
        name: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove what dead commands and tests left behind.
    Gc {
        /// Print the transcript and do nothing.
        #[arg(long)]
        dry_run: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the end of a cluster's logs.
    Logs {
        /// The cluster's name.
        #[arg(long, default_value = "default")]
        name: String,
        /// Only this component: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok-controller.
        #[arg(long)]
        component: Option<String>,
        /// Lines of each.
        #[arg(long, default_value_t = 50)]
        tail: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProviderName {
    /// Real etcd, apiserver, controller manager and scheduler as processes; simulated nodes.
    Kwok,
}

#[derive(Debug, Args)]
pub(crate) struct FixtureArgs {
    #[command(subcommand)]
    pub(crate) verb: FixtureVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FixtureVerb {
    /// Bring the fixture up and tell nextest where it is.
    Ensure {
        /// The provider.
        #[arg(value_enum)]
        provider: ProviderName,
        /// Another cluster than the shared one, for rows that break things; its variable carries the name too.
        #[arg(long)]
        name: Option<String>,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask run                                        every suite's smoke rows
  cargo xtask run kperf --profile published              the document's own size
  cargo xtask run kperf --filter 'test(nodepool_smoke)'  one row
  cargo xtask run kperf --set nodes=50 --set replicas=20 other parameters, recorded with the result

Rows and filters are nextest's: `cargo nextest run -p kperf-suite` runs the same rows by itself.")]
pub(crate) struct RunArgs {
    /// Suites by name (`kperf` or `kperf-suite`); all that are built when none is given.
    pub(crate) suites: Vec<String>,
    /// Which rows: smoke rows, or the documents' own sizes.
    #[arg(long, value_enum, default_value_t = Profile::Default)]
    pub(crate) profile: Profile,
    /// Where the cluster comes from.
    #[arg(long, value_enum, default_value_t = ProviderName::Kwok)]
    pub(crate) provider: ProviderName,
    /// A nextest filter expression; rows outside the profile can be named too.
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<String>,
    /// Override a parameter of `parameters.toml`; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Where results go: a directory that gets one directory a run.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Smoke rows: minutes.
    Default,
    /// The documents' own sizes: tens of minutes and more.
    Published,
}

impl Profile {
    /// The name of the nextest profile.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Published => "published",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// A run's directory or id; the latest when not given.
    pub(crate) run: Option<String>,
    /// The form.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables for a terminal.
    Text,
    /// Markdown.
    Md,
    /// `run.json`.
    Json,
    /// The page `index.html` in the run's directory, written again; its path is printed.
    Html,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Only the checks that need no cluster: seconds instead of minutes.
    #[arg(long)]
    pub(crate) no_cluster: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Interleaved pairs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) pairs: u32,
}
