//! The rows of the suite: their parameters, budgets, deviations and the published figures beside ours.

use harness::{Error, Kind, Row, Rows, Suite};
use record::Published;

use crate::parameters::{PullTest, Simulated};

/// Variable with the descriptor of the kind cluster that rows with real pulls share.
pub const FIXTURE: &str = "KUBEDYNO_FIXTURE_KIND";
/// Variable with the descriptor of the cluster of simulated nodes that measuring rows share.
const KWOK: &str = "KUBEDYNO_FIXTURE_KWOK";
/// Variable with the descriptor of the cluster of simulated nodes that disturbed rows have to themselves.
pub const DISTURBED_FIXTURE: &str = "KUBEDYNO_FIXTURE_KWOK_DISTURBED";
const SUITE: Suite = Suite {
    package: env!("CARGO_PKG_NAME"),
    parameters: ("suites/image-pull-suite/parameters.toml", include_str!("../parameters.toml")),
    budgets: ("suites/image-pull-suite/budgets.toml", include_str!("../budgets.toml")),
    deviations_of_our_clusters: &[OF_OUR_CLUSTERS],
};

const DOCUMENT: (&str, &str) = ("Image Pull Performance Test", "001-image-pull-performance");

const OF_THE_DEPLOYMENTS: [&str; 3] = [
    "Pods have 1 s to end instead of 30: their first process hears no SIGTERM, and every deletion would take them.",
    "Pods carry labels of this project beside the document's; no selector of theirs uses one.",
    "Deployments go in the end, and in rows of two rounds come again; the document leaves them.",
];
const OF_REAL_NODES: [&str; 6] = [
    "The nodes are containers of one machine: they share its cores, its disk and the way from the registry. The document had a virtual machine for each.",
    "The cluster has two workers where the document had ten nodes: its pods share two fetches.",
    "The image is generated from a seed, of the size in the parameters; its content is incompressible, and unpacks faster than real files.",
    "The registry is on the nodes' own network, with its egress shaped by a token bucket; the document's was a cloud's, with a sign-in.",
    "No Prometheus and no wait of ten minutes: kubelets and containerds are scraped before and after each phase.",
    "The nodes have no network plugin of pods: ptp, host-local and portmap wire them, with static routes between the nodes.",
];
const OF_SIMULATED_NODES: [&str; 4] = [
    "Nodes and pods are simulated: nothing is pulled, so that no pull time, no throughput and no network time is given.",
    "The step from scheduled to running is the simulation's own time; schedule_to_run, schedule_to_watch and every startup have it in them.",
    "A simulated pod is ready as it runs: the document's probe, which looks after 5 s, is not run.",
    "All nodes are made for the row, as large as those that the scenario has for its pods (4 CPUs, 16 GiB).",
];
const OF_OUR_CLUSTERS: &str = "Kubernetes is newer than in the document (1.31), and containerd where nodes are real; the cluster has one control plane: see the versions and settings of this record.";
const OF_OUR_KWOK_CLUSTERS: &str = "etcd does not sync its disk, and the client rate limits of the controller manager and the scheduler are raised: see the settings of this record.";

/// The suite's parameters.
///
/// # Errors
/// When the file is malformed, with its line.
pub fn parameters() -> Result<Rows, Error> {
    SUITE.rows()
}

/// Reads every row, those of the run that is about to begin with its overrides.
///
/// # Errors
/// For the first row that no driver takes, with its line.
pub fn check_rows() -> Result<(), Error> {
    SUITE.check(&[Kind::of::<PullTest>(), Kind::of::<Simulated>()])
}

/// The row called `test`, on real nodes.
///
/// # Errors
/// When the row is unknown, a file is malformed, or an override does not fit.
pub fn pull_row(test: &str) -> Result<(Row, PullTest), Error> {
    on_real_nodes(test, None)
}

/// The same for a test that disturbs it and then looks at the verdict. Its record lies in the directory `disturbed/<test>` of
/// the run, apart from the results.
///
/// # Errors
/// As [`pull_row`].
pub fn disturbed_row(row: &str, test: &str) -> Result<(Row, PullTest), Error> {
    on_real_nodes(row, Some(format!("disturbed/{test}")))
}

/// The row called `test`, on simulated nodes.
///
/// # Errors
/// As [`pull_row`].
pub fn simulated_row(test: &str) -> Result<(Row, Simulated), Error> {
    on_simulated_nodes(test, KWOK, None)
}

/// The same on the cluster that may be broken, as [`disturbed_row`].
///
/// # Errors
/// As [`pull_row`].
pub fn disturbed_simulated_row(row: &str, test: &str) -> Result<(Row, Simulated), Error> {
    on_simulated_nodes(row, DISTURBED_FIXTURE, Some(format!("disturbed/{test}")))
}

fn on_real_nodes(test: &str, aside: Option<String>) -> Result<(Row, PullTest), Error> {
    // It has no needs: a registry beside the nodes, and commands inside of them, are nothing for a cluster of others.
    let (row, pull) = SUITE.row(test, FIXTURE, DOCUMENT)?;
    let deviations = OF_REAL_NODES.into_iter().chain(OF_THE_DEPLOYMENTS).map(str::to_owned).collect();
    Ok((Row { deviations, published: published(), aside, ..row }, pull))
}

fn on_simulated_nodes(test: &str, fixture: &'static str, aside: Option<String>) -> Result<(Row, Simulated), Error> {
    let (mut row, simulated) = SUITE.row(test, fixture, DOCUMENT)?;
    row.deviations_of_our_clusters.push(OF_OUR_KWOK_CLUSTERS.to_owned());
    let deviations = OF_SIMULATED_NODES.into_iter().chain(OF_THE_DEPLOYMENTS).map(str::to_owned).collect();
    Ok((Row { deviations, published: published(), aside, ..row }, simulated))
}

/// The document publishes limits and no results.
fn published() -> Vec<Published> {
    let figure = |figure: &str, theirs: &str, source: &str, metric: &str| Published {
        figure: figure.to_owned(),
        theirs: theirs.to_owned(),
        source: source.to_owned(),
        metric: Some(metric.to_owned()),
        cell: None,
    };
    vec![
        figure("pod startup timeout", "3 minutes", "document 001, default configuration", "create_pod_startup_p99_ms"),
        figure("limit for all Deployments to run", "5m", "the scenario's image-pull.yaml", "create_s"),
    ]
}
