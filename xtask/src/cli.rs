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
    /// End a cluster and remove its files; a cluster of others is forgotten, and goes on.
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
    /// Say what somebody's cluster has, what its user may do there, and which rows can run. Creates nothing.
    #[command(
        after_help = "Examples:\n  cargo xtask cluster preflight\n  cargo xtask cluster preflight --kubeconfig ~/lab.yaml --context lab --json\n\n\
        Exit code 13 when no row can run there."
    )]
    Preflight {
        #[command(flatten)]
        access: AccessArgs,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove what dead commands and tests left behind; clusters of others are forgotten, not ended.
    Gc {
        /// Print the transcript and do nothing.
        #[arg(long)]
        dry_run: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Break a component, or the way to the apiserver: stop, pause, kill, restart, fill its disk, delay, cut.
    #[command(
        after_help = "Examples:\n  cargo xtask cluster fault pause etcd --for 10s\n  cargo xtask cluster fault kill \
        kube-scheduler && cargo xtask cluster up\n  cargo xtask cluster fault network --delay 20ms"
    )]
    Fault {
        /// The cluster's name.
        #[arg(long, default_value = "default", global = true)]
        name: String,
        #[command(subcommand)]
        fault: FaultVerb,
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

#[derive(Debug, Subcommand)]
pub(crate) enum FaultVerb {
    /// Stop a component where it stands (SIGSTOP): it keeps its connections and answers nobody.
    Pause {
        /// etcd, kube-apiserver, kube-controller-manager, kube-scheduler or kwok-controller.
        component: String,
        /// Let it go on after this long; without it, it stands still until `resume`.
        #[arg(long = "for", value_name = "DURATION")]
        how_long: Option<jiff::SignedDuration>,
    },
    /// Let a paused component go on.
    Resume {
        /// The component.
        component: String,
    },
    /// End a component in an orderly way (SIGTERM) and leave it so.
    Stop {
        /// The component.
        component: String,
    },
    /// End a component at once (SIGKILL) and leave it so; `cargo xtask cluster up` starts it again.
    Kill {
        /// The component.
        component: String,
    },
    /// Kill a component and start it again.
    Restart {
        /// The component.
        component: String,
    },
    /// Let no file of a component grow, as on a full disk. etcd ends by that; `restart` starts it with room again.
    FillDisk {
        /// The component.
        component: String,
        /// Give room again after this long; without it, the disk stays full.
        #[arg(long = "for", value_name = "DURATION")]
        how_long: Option<jiff::SignedDuration>,
    },
    /// Open a slow or broken way to the apiserver, and keep it until Ctrl-C. The cluster's other users notice nothing.
    Network {
        /// Every byte comes so much later, in either direction.
        #[arg(long, value_name = "DURATION", default_value = "0s")]
        delay: jiff::SignedDuration,
        /// Break every connection after this long, again and again.
        #[arg(long, value_name = "DURATION")]
        cut_every: Option<jiff::SignedDuration>,
        /// And let none through for so long.
        #[arg(long, value_name = "DURATION", default_value = "3s")]
        cut_for: jiff::SignedDuration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProviderName {
    /// Real etcd, apiserver, controller manager and scheduler as processes; simulated nodes.
    Kwok,
}

/// Which cluster of others; the defaults are kubectl's.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct AccessArgs {
    /// The kubeconfig; KUBECONFIG or ~/.kube/config when not given.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Its context; the current one when not given.
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
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
    /// Get programs of a system under test, and tell nextest where they and their manifests are.
    Programs {
        /// Their names in `tools list`.
        #[arg(required = true)]
        names: Vec<String>,
    },
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
    /// Where the cluster comes from.
    #[arg(long, value_enum, default_value_t = RunProvider::Kwok)]
    pub(crate) provider: RunProvider,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    /// On an existing cluster: rows may create simulated nodes.
    #[arg(long)]
    pub(crate) allow_nodes: bool,
    /// On an existing cluster: rows may create more than 100 nodes and pods.
    #[arg(long)]
    pub(crate) allow_load: bool,
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
pub(crate) enum RunProvider {
    /// A kwok cluster of this machine, brought up when it is not there.
    Kwok,
    /// Somebody's cluster, named by a kubeconfig and a context. `cargo xtask cluster preflight` says what can run there.
    Existing,
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

An arm is BUILD or BUILD+SLOWDOWN. BUILD: `pinned`, a path, or a version that a release host has. SLOWDOWN:
cpu:COMPONENT=FACTOR, network=DURATION, stage=DURATION, writes=SHARE.

Exit codes: 0 nothing worse, all told; 10 worse; 11 cannot tell (it says how many more pairs would), or not measured.")]
pub(crate) struct GateArgs {
    /// The suite whose `_gate` rows judge.
    pub(crate) suite: String,
    /// The build to compare with.
    #[arg(long, value_name = "ARM", default_value = "pinned")]
    pub(crate) base: String,
    /// The build that is judged.
    #[arg(long, value_name = "ARM")]
    pub(crate) head: String,
    /// Which program the builds are of: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok; `kubedyno`
    /// for revisions of this repository, whose own rows run.
    #[arg(long, default_value = "kube-apiserver")]
    pub(crate) component: String,
    /// Pairs of runs, after one round that is thrown away.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(5..=200))]
    pub(crate) pairs: u32,
    /// Exit with 0 when nothing is worse, though some metric could not be told.
    #[arg(long)]
    pub(crate) allow_untold: bool,
    /// Repeats the order of an earlier gate.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Where results go: a directory that gets one directory a gate.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask power kperf                  seconds, from the committed pool
  cargo xtask power kperf --collect        measure the pool anew on this machine: an hour or two on an idle one
  cargo xtask power kperf --real 3         run real gates as well, six of them, minutes each

Exit code 10 when the gate cries wolf in more than 1 % of gates, or misses more than 5 % of what it has to find.")]
pub(crate) struct PowerArgs {
    /// The suite whose `_gate` row the pool is of.
    pub(crate) suite: String,
    /// Measure the pool first.
    #[arg(long)]
    pub(crate) collect: bool,
    /// Repeats of each arm.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(20..=1000))]
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
    /// Write the ratios of each arm to base as a picture into this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) pictures: Option<PathBuf>,
    /// Real gates of each kind.
    #[arg(long, default_value_t = 0)]
    pub(crate) real: u32,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Only the checks that need no cluster: seconds instead of minutes.
    #[arg(long)]
    pub(crate) no_cluster: bool,
    /// Fault rows and soaks too: an hour or two more.
    #[arg(long, conflicts_with = "no_cluster")]
    pub(crate) nightly: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What is measured.
    #[arg(value_enum, default_value_t = BenchOf::Fixture)]
    pub(crate) of: BenchOf,
    /// Interleaved pairs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) pairs: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchOf {
    /// A cluster of ours, beside kwokctl's.
    Fixture,
    /// Our kperf, beside Azure/kperf: about 8 minutes for 5 pairs, after its build.
    Kperf,
}
