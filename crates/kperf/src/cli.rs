//! The command line: commands and flags of Azure/kperf v0.3.5, and a few of ours, which say so.

use std::path::PathBuf;
use std::time::Duration;

use apiload::Content;
use clap::{Args, Parser, Subcommand};
use kperf::nodepool::{Affinity, Pool};
use kperf::profile::{Arrivals, Overrides};
use kperf::report::{Format, Latency};
use kperf::runner::Run;
use kperf::runnergroup::{Driver, FlowControl, RunGroups};
use kperf::{Sending, lint};

/// Puts load on kube-apiserver, and says what came of it.
#[derive(Debug, Parser)]
#[command(name = "kperf", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// How much is said on stderr.
    #[arg(short = 'v', long = "v", value_name = "LEVEL", default_value_t = 0)]
    pub(crate) verbosity: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load from this machine.
    Runner {
        #[command(subcommand)]
        command: RunnerCommand,
    },
    /// Load from several runners, whose state is in the cluster.
    #[command(visible_alias = "rg")]
    Runnergroup(RunnergroupArgs),
    /// Load profiles. Ours.
    Profile {
        #[command(subcommand)]
        command: ProfileCommand,
    },
    /// Simulated nodes.
    #[command(visible_alias = "vc")]
    Virtualcluster {
        #[command(subcommand)]
        command: VirtualclusterCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunnerCommand {
    /// Run a load profile.
    Run(RunArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// Say what a profile will do, and refuse one that cannot work.
    Lint(LintArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunnergroupArgs {
    /// Path to the kubeconfig file [default: $KUBECONFIG, then ~/.kube/config].
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) kubeconfig: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: RunnergroupCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunnergroupCommand {
    /// Start groups, and do not wait for them.
    Run(GroupArgs),
    /// Show how far the groups are.
    Status,
    /// Show what a group found.
    Result {
        /// The group, if there are several. Ours.
        name: Option<String>,
        /// Wait until all runners are over.
        #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true",
            action = clap::ArgAction::Set)]
        wait: bool,
        /// How long to wait, as in 90s, 10m, 1h.
        #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
        timeout: Duration,
        /// Form of the result. Ours.
        #[arg(long, value_enum, default_value = "v0.1.5")]
        format: Format,
        /// The latency of the result. Ours.
        #[arg(long, value_enum, default_value = "response")]
        latency: Latency,
    },
    /// Delete all groups, and end their runners.
    Delete,
    /// Start the runners of a group, and write its status.
    #[command(hide = true)]
    Supervise {
        /// The group.
        name: String,
    },
    /// Be one runner of a group.
    #[command(hide = true)]
    Runner {
        /// The group.
        name: String,
        /// Number in the group.
        #[arg(long)]
        index: Option<u32>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct GroupArgs {
    /// URI of a spec: file:///path, or configmap://name?namespace=ns&specName=key.
    #[arg(long, value_name = "URI", required = true)]
    runnergroup: Vec<String>,
    /// Image of the runners' Pods.
    #[arg(long, value_name = "IMAGE")]
    runner_image: Option<String>,
    /// Priority level of the runners' requests, and precedence of their FlowSchema.
    #[arg(long, value_name = "LEVEL:PRECEDENCE", default_value = "workload-low:1000")]
    runner_flowcontrol: FlowControl,
    /// Run the runners on nodes with these labels.
    #[arg(long, value_name = "KEY=VALUE[,VALUE]", value_parser = values)]
    affinity: Vec<(String, Vec<String>)>,
    /// How much the runners say.
    #[arg(long, value_name = "LEVEL", default_value_t = 2)]
    runner_verbosity: u8,
    /// Where the runners run. Ours.
    #[arg(long, value_enum, default_value = "auto")]
    runner_driver: Driver,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VirtualclusterCommand {
    /// Pools of simulated nodes.
    Nodepool(NodepoolArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NodepoolArgs {
    /// Path to the kubeconfig file [default: $KUBECONFIG, then ~/.kube/config].
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) kubeconfig: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: NodepoolCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodepoolCommand {
    /// Add a pool.
    Add(PoolArgs),
    /// Add several pools of a batch's size each.
    BatchAdd {
        #[command(flatten)]
        pool: PoolArgs,
        /// Nodes of one pool at most.
        #[arg(long, value_name = "N", default_value_t = 300)]
        batch_size: u32,
    },
    /// List the pools.
    List,
    /// Delete a pool.
    #[command(visible_alias = "del")]
    Delete {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PoolArgs {
    /// Name of the pool.
    name: String,
    /// Nodes.
    #[arg(long, value_name = "N", default_value_t = 10)]
    nodes: u32,
    /// CPUs of a node.
    #[arg(long, value_name = "N", default_value_t = 8)]
    cpu: u32,
    /// Memory of a node in GiB.
    #[arg(long, value_name = "GIB", default_value_t = 16)]
    memory: u32,
    /// Pods that fit on a node.
    #[arg(long, value_name = "N", default_value_t = 110)]
    max_pods: u32,
    /// Run the controller of the nodes on nodes with these labels.
    #[arg(long, value_name = "KEY=VALUE[,VALUE]", value_parser = values)]
    affinity: Vec<(String, Vec<String>)>,
    /// More labels of the nodes.
    #[arg(long, value_name = "KEY=VALUE", value_parser = value)]
    node_labels: Vec<(String, String)>,
    /// One provider id for all nodes.
    #[arg(long, value_name = "ID", hide = true)]
    shared_provider_id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Path to the kubeconfig file [default: $KUBECONFIG, then ~/.kube/config].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Path to the load profile.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Total number of HTTP clients; overrides the profile [default: 1].
    #[arg(long, value_name = "N")]
    client: Option<usize>,
    /// Total number of connections; overrides the profile [default: 1].
    #[arg(long, value_name = "N")]
    conns: Option<usize>,
    /// Content type of the answers; overrides the profile [default: json].
    #[arg(long, value_name = "TYPE", value_parser = content)]
    content_type: Option<Content>,
    /// Requests per second, 0 for no limit; overrides the profile.
    #[arg(long, value_name = "PER_SECOND", allow_negative_numbers = true)]
    rate: Option<f64>,
    /// Total number of requests; overrides the profile [default: 1000].
    #[arg(long, value_name = "N")]
    total: Option<u64>,
    /// Seconds that the load lasts; ignored if there is a total.
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
    /// User agent.
    #[arg(long, value_name = "TEXT")]
    user_agent: Option<String>,
    /// Use HTTP/1.1.
    #[arg(long)]
    disable_http2: bool,
    /// Times that a request is sent again after 429, 0 or less for never; overrides the profile.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_retries: Option<i64>,
    /// Path to the file of the result [default: stdout].
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
    /// Stream every request to a CSV file, and show the first errors in the result [default file: that of the result
    /// with `.raw.csv`, or kperf.raw.csv].
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    raw_data: Option<Option<PathBuf>>,
    /// Form of the result: that of a version of kperf, or our own with both latencies [default: v0.1.5, as in the
    /// documentation, of a profile with `spec`; v0.3.5 of one with `specs`]. Ours.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The latency in kperf's forms. Ours.
    #[arg(long, value_enum, default_value = "response")]
    latency: Latency,
    /// How requests follow each other. Ours.
    #[arg(long, value_enum, default_value = "even")]
    arrivals: Arrivals,
    /// Seed of every random choice. Ours.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// The load profile.
    #[arg(value_name = "FILE")]
    profile: PathBuf,
    /// Ask the cluster of this kubeconfig as well: what is there, how large and how fast its answers are.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

impl RunArgs {
    pub(crate) fn into_run(self, verbosity: u8) -> Run {
        let beside =
            || self.result.as_ref().map_or_else(|| "kperf.raw.csv".into(), |file| file.with_extension("raw.csv"));
        let raw_data = self.raw_data.map(|file| file.unwrap_or_else(beside));
        Run {
            kubeconfig: self.kubeconfig,
            config: self.config,
            overrides: Overrides {
                rate: self.rate,
                total: self.total,
                duration: self.duration,
                conns: self.conns,
                client: self.client,
                content_type: self.content_type,
                disable_http2: self.disable_http2,
                max_retries: self.max_retries,
            },
            sending: Sending {
                seed: self.seed,
                arrivals: self.arrivals,
                user_agent: self.user_agent,
                // Objects of this process, whatever was left of others.
                prefix: Some(format!("kperf-{:x}-{}", jiff::Timestamp::now().as_second(), std::process::id())),
            },
            result: self.result,
            raw_data,
            format: self.format,
            latency: self.latency,
            verbosity,
        }
    }
}

impl LintArgs {
    pub(crate) fn into_lint(self) -> lint::Lint {
        lint::Lint { profile: self.profile, kubeconfig: self.kubeconfig }
    }
}

impl GroupArgs {
    pub(crate) fn into_run(self, kubeconfig: Option<PathBuf>) -> RunGroups {
        RunGroups {
            kubeconfig,
            specs: self.runnergroup,
            image: self.runner_image,
            flow_control: self.runner_flowcontrol,
            affinity: self.affinity.into_iter().collect(),
            verbosity: self.runner_verbosity,
            driver: self.runner_driver,
        }
    }
}

impl PoolArgs {
    pub(crate) fn into_pool(self) -> (Pool, Affinity) {
        let pool = Pool {
            name: self.name,
            nodes: self.nodes,
            cpu: self.cpu,
            memory_gib: self.memory,
            max_pods: self.max_pods,
            labels: self.node_labels.into_iter().collect(),
            provider_id: self.shared_provider_id,
        };
        (pool, self.affinity.into_iter().collect())
    }
}

fn value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("give KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn values(text: &str) -> Result<(String, Vec<String>), String> {
    let (key, values) = text.split_once('=').ok_or("give KEY=VALUE[,VALUE]")?;
    Ok((key.to_owned(), values.split(',').map(str::to_owned).collect()))
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    parsed.ok().and_then(|duration| Duration::try_from(duration).ok()).ok_or_else(|| "give 90s, 10m or 1h".to_owned())
}

fn content(text: &str) -> Result<Content, String> {
    match text {
        "json" => Ok(Content::Json),
        "protobuf" => Ok(Content::Protobuf),
        _ => Err("give json or protobuf".to_owned()),
    }
}
