//! The command line, and its help.

mod cluster;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use cluster::{AccessArgs, ClusterArgs, ClusterVerb, FaultVerb, ProviderName};

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
11 invalid, no-data, stalled, timed out or interrupted; 12 nothing ran; 13 only unsupported rows were asked for.

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
    /// Get the image of kind's nodes: the published one where it can be pulled, otherwise one that is built.
    NodeImage(NodeImageArgs),
    /// Make the image of kperf's runner, for the Pods of a runner group.
    RunnerImage(RunnerImageArgs),
    /// What nextest's setup scripts call.
    #[command(hide = true)]
    Fixture(FixtureArgs),
    /// Run suites: tools, cluster, rows, results, report.
    Run(RunArgs),
    /// Show a run again, from its files.
    Report(ReportArgs),
    /// Compare two arms again, from their files: better, worse, the same, or cannot tell.
    Compare(CompareArgs),
    /// Judge two builds of a component: interleaved runs, then better, worse, the same, or cannot tell.
    Gate(GateArgs),
    /// Say how often the gate cries wolf and what it finds, by gates drawn from a pool of real repeats.
    Power(PowerArgs),
    /// Measure what is ours beside what people would use in its place, in interleaved pairs.
    Bench(BenchArgs),
    /// Check this repository itself: format, lints, unit tests, smoke rows.
    Test(TestArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask tools list                     each pinned program, its version and where it came from
  cargo xtask tools ensure                   get all of them now: tens of minutes where they are built
  cargo xtask tools ensure etcd kwok --verify")]
pub(crate) struct ToolsArgs {
    /// What to do; without it, `list`.
    #[command(subcommand)]
    pub(crate) verb: Option<ToolsVerb>,
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
#[command(after_help = "\
The image's name is printed. It is built of Debian's packages and the pinned programs, is known by what goes into it, and
stays in Docker. KUBEDYNO_NODE_IMAGE names another one to use.")]
pub(crate) struct NodeImageArgs {
    /// Build one, whether or not the published one can be pulled.
    #[arg(long)]
    pub(crate) build: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The image's name and its archive are printed. The archive is what `kind load image-archive` and `docker load` take; from Docker it
can be tagged and pushed to a registry that the nodes of a cluster pull from. Neither is needed to make it.")]
pub(crate) struct RunnerImageArgs {
    /// Build kperf with all optimisations, which takes minutes the first time.
    #[arg(long)]
    pub(crate) release: bool,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
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
        /// Service addresses, for a cluster of its own that has few.
        #[arg(long, value_name = "CIDR", requires = "name", value_parser = cluster::cidr)]
        service_range: Option<String>,
        /// Workers of a kind cluster of its own, one of the shapes in kind-configs.
        #[arg(long, requires = "name")]
        workers: Option<u32>,
    },
    /// Get programs of a system under test, and tell nextest where they and their manifests are.
    Programs {
        /// Their names in `tools list`.
        #[arg(required_unless_present = "suite")]
        names: Vec<String>,
        /// Those that this suite tests.
        #[arg(long, conflicts_with = "names")]
        suite: Option<String>,
    },
    /// Make the image of kperf's runner, and tell nextest where it is.
    RunnerImage,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask run                                        every suite's smoke rows
  cargo xtask run kperf --profile published              the document's own size
  cargo xtask run kperf --filter 'test(nodepool_smoke)'  one row
  cargo xtask run kperf --set nodes=50 --set replicas=20 other parameters, recorded with the result
  cargo xtask run kperf --provider existing --context lab --allow-nodes --allow-load
                                                         on somebody's cluster; what it needs leave for is asked first

Rows and filters are nextest's: `cargo nextest run -p kperf-suite` runs the same rows by itself.")]
pub(crate) struct RunArgs {
    /// Suites by name (`kperf` or `kperf-suite`); all that are built when none is given.
    pub(crate) suites: Vec<String>,
    /// Which rows: smoke rows, or the documents' own sizes.
    #[arg(long, value_enum, default_value_t = Profile::Default)]
    pub(crate) profile: Profile,
    /// Whose cluster: by default one of ours, as the profile needs it.
    #[arg(long, value_enum)]
    pub(crate) provider: Option<RunProvider>,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    /// On an existing cluster: rows may create simulated nodes.
    #[arg(long)]
    pub(crate) allow_nodes: bool,
    /// On an existing cluster: rows may create more than 100 nodes and pods.
    #[arg(long)]
    pub(crate) allow_load: bool,
    /// A nextest filter expression. When no row of the profile matches, rows outside it are taken.
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<String>,
    /// Override a parameter of `parameters.toml`; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Go on with a run that was killed or interrupted, the last one when none is named: rows that it has measured are kept.
    #[arg(long, value_name = "RUN", num_args = 0..=1, require_equals = true, default_missing_value = "latest")]
    pub(crate) resume: Option<String>,
    /// Where results go: a directory that gets one directory a run.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunProvider {
    /// A kwok cluster of this machine, brought up when it is not there.
    Kwok,
    /// A kind cluster of this machine, brought up when it is not there.
    Kind,
    /// Somebody's cluster, named by a kubeconfig and a context. `cargo xtask cluster preflight` says what can run there.
    Existing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Smoke rows: minutes.
    Default,
    /// Smoke rows on a kind cluster.
    Kind,
    /// The documents' own sizes: tens of minutes and more.
    Published,
    /// The same on a kind cluster.
    PublishedKind,
}

impl Profile {
    /// The profile of rows of the same size on a kind cluster.
    pub(crate) fn on_kind(self) -> Self {
        match self {
            Self::Default | Self::Kind => Self::Kind,
            Self::Published | Self::PublishedKind => Self::PublishedKind,
        }
    }

    /// The name of the nextest profile.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Kind => "kind",
            Self::Published => "published",
            Self::PublishedKind => "published-kind",
        }
    }

    /// The fixture of its rows, by which their test binaries are named.
    pub(crate) fn fixture(self) -> ProviderName {
        match self {
            Self::Default | Self::Published => ProviderName::Kwok,
            Self::Kind | Self::PublishedKind => ProviderName::Kind,
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
    /// Write each plot of the page into this directory, as an SVG file.
    #[arg(long, value_name = "DIR")]
    pub(crate) pictures: Option<PathBuf>,
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
#[command(after_help = "\
Examples:
  cargo xtask compare results/ID/arms/base results/ID/arms/head
  cargo xtask compare before after --gate      before/ and after/ hold run directories, one a repeat

Exit codes with --gate: 0 nothing worse, all told; 10 worse; 11 cannot tell, or a run was killed or invalid.
Arms of different machines, settings, parameters or schemas are refused with exit code 2.")]
pub(crate) struct CompareArgs {
    /// The base arm: a directory of run directories, or one run.
    pub(crate) base: PathBuf,
    /// The head arm.
    pub(crate) head: PathBuf,
    /// Let the answer set the exit code.
    #[arg(long)]
    pub(crate) gate: bool,
    /// Compare although machines, settings, parameters or schemas differ; the differences are told.
    #[arg(long)]
    pub(crate) allow_different: bool,
    /// The form.
    #[arg(long, value_enum, default_value_t = CompareFormat::Text)]
    pub(crate) format: CompareFormat,
    /// Write the ratios of each row as a picture into this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) pictures: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompareFormat {
    /// Tables for a terminal.
    Text,
    /// Markdown, as for a comment.
    Md,
    /// Everything.
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask gate kperf --base pinned --head ./kube-apiserver
  cargo xtask gate kperf --component kube-scheduler --base v1.36.2 --head ./kube-scheduler --pairs 5
  cargo xtask gate kperf --base pinned --head 'pinned+cpu:*=1.3'     does the gate see a system that is 1.3 x slower?
  cargo xtask gate kperf --component kubedyno --base origin/main --head HEAD
  cargo xtask gate spiderpool --component spiderpool-agent --head ./spiderpool-agent
  cargo xtask gate kamaji --component kamaji --head ./kamaji

An arm is BUILD or BUILD+SLOWDOWN. BUILD: `pinned`, a path, or a version that a release host has. SLOWDOWN:
cpu:COMPONENT=FACTOR, network=DURATION, stage=DURATION, writes=SHARE.

Exit codes: 0 nothing worse, all told; 10 worse; 11 cannot tell (it says how many more pairs would), or not measured.
A run that is invalid or has no data is run again with its pair: at most a fifth of the pairs, at least two. Arms of
different machines, settings, parameters or schemas are refused with exit code 2.")]
pub(crate) struct GateArgs {
    /// The suite whose `_gate` rows judge.
    pub(crate) suite: String,
    /// The build to compare with.
    #[arg(long, value_name = "ARM", default_value = "pinned")]
    pub(crate) base: String,
    /// The build that is judged.
    #[arg(long, value_name = "ARM")]
    pub(crate) head: String,
    /// Which program the builds are of: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok, or one of the
    /// suite's own (`cargo xtask tools list`); `kubedyno` for revisions of this repository, whose own rows run.
    #[arg(long, default_value = "kube-apiserver")]
    pub(crate) component: String,
    /// Pairs of runs, after one round that is thrown away; an odd number is made even, because two pairs are one ABBA.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(5..=200))]
    pub(crate) pairs: u32,
    /// Exit with 0 when nothing is worse, though some metric could not be told: as long as these runs could have seen the
    /// change in it that has to be seen.
    #[arg(long)]
    pub(crate) allow_untold: bool,
    /// The change that has to be seen with --allow-untold: `must_see` of the metric in budgets.toml, or 1.3, if not given.
    #[arg(long, value_name = "RATIO", requires = "allow_untold", value_parser = ratio)]
    pub(crate) must_see: Option<f64>,
    /// Compare although machines, settings, parameters or schemas differ; the differences are told.
    #[arg(long)]
    pub(crate) allow_different: bool,
    /// Repeats the order of an earlier gate.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Where results go: a directory that gets one directory a gate.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// A ratio above 1.
fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse::<f64>().ok().filter(|ratio| ratio.is_finite() && *ratio > 1.0);
    ratio.ok_or_else(|| "it has to be a ratio above 1, such as 1.3".to_owned())
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask power kperf                  seconds, from the pool in fixtures/power, once there is one
  cargo xtask power kperf --collect        measure the pool anew on this machine: some three hours on an idle one
  cargo xtask power kperf --real 3         run real gates as well, six of them, minutes each

Exit code 10 when the gate cries wolf in more than 1 % of gates, or misses more than 5 % of what it has to find.")]
pub(crate) struct PowerArgs {
    /// The suite whose `_gate` row the pool is of.
    pub(crate) suite: String,
    /// Measure the pool first.
    #[arg(long)]
    pub(crate) collect: bool,
    /// Pairs of each head and its base.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(40..=1000))]
    pub(crate) repeats: u32,
    /// Repeats the order of an earlier pool.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Go on with an interrupted collection, by its id.
    #[arg(long, value_name = "ID", requires = "collect")]
    pub(crate) resume: Option<String>,
    /// Gates drawn for each figure.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub(crate) gates: u32,
    /// Write the ratios of each head to its base as a picture into this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) pictures: Option<PathBuf>,
    /// Real gates of each kind.
    #[arg(long, default_value_t = 0)]
    pub(crate) real: u32,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask test                           what CI runs: most of an hour, nothing else may load the machine
  cargo xtask test --no-cluster              format, lints, unit and golden tests
  cargo xtask test --nightly                 and everything that takes hours")]
pub(crate) struct TestArgs {
    /// Only the checks that need no cluster: seconds instead of minutes.
    #[arg(long)]
    pub(crate) no_cluster: bool,
    /// Every disturbed row, fault rows and soaks too: two hours more.
    #[arg(long, conflicts_with = "no_cluster")]
    pub(crate) nightly: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask bench                          clusters and nodes, beside kwokctl: 5 pairs in about 4 minutes
  cargo xtask bench kperf --pairs 3          our kperf beside Azure/kperf
  cargo xtask bench run --pairs 1            what `cargo xtask run kperf` takes beyond its rows: 3 minutes a run, and one to warm up
  cargo xtask bench report                   the page of 100 copies of the newest run's largest row: seconds
  cargo xtask bench compare                  how long `compare` takes over two arms of 100 trials

Exit code 10 when a figure misses its limit.")]
pub(crate) struct BenchArgs {
    /// What is measured.
    #[arg(value_enum, default_value_t = BenchOf::Fixture)]
    pub(crate) of: BenchOf,
    /// Interleaved pairs, runs after the one that warms up, or repeats of what nothing stands beside.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) pairs: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchOf {
    /// A cluster of ours, beside kwokctl's.
    Fixture,
    /// `compare` of two arms, from their files: seconds.
    Compare,
    /// Our kperf, beside Azure/kperf: about 8 minutes for 5 pairs, after its build.
    Kperf,
    /// A run, beside its own rows.
    Run,
    /// The report of a hundred rows: how long it takes to write, and how large it is.
    Report,
}
