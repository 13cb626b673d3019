//! The rows of the suite: their parameters, budgets, deviations and the figures that stand beside ours.

use harness::{Error, Kind, Row, Suite};
use record::Published;
use serde::de::DeserializeOwned;

use crate::bench::Bench;
use crate::group::Group;
use crate::load::Load;
use crate::nodepool::NodePool;

/// Variable with the descriptor of the cluster that disturbed rows have to themselves.
pub const DISTURBED_FIXTURE: &str = "KUBEDYNO_FIXTURE_KWOK_DISTURBED";
/// Variable with the descriptor of the cluster that every measuring row shares.
pub const FIXTURE: &str = "KUBEDYNO_FIXTURE_KWOK";
/// Variable with the descriptor of the cluster of real nodes.
const KIND_FIXTURE: &str = "KUBEDYNO_FIXTURE_KIND";
const SUITE: Suite = Suite {
    package: env!("CARGO_PKG_NAME"),
    parameters: ("suites/kperf-suite/parameters.toml", include_str!("../parameters.toml")),
    budgets: ("suites/kperf-suite/budgets.toml", include_str!("../budgets.toml")),
    deviations_of_our_clusters: &DEVIATIONS_OF_OUR_CLUSTERS,
};

/// What a row is about: what is said of all its rows alike.
struct Subject {
    title: &'static str,
    deviations: &'static [&'static str],
    published: fn(&str) -> Vec<Published>,
}

const NODEPOOL: Subject = Subject {
    title: "Getting started with kperf: kperf-virtualcluster nodepool",
    deviations: &DEVIATIONS,
    published: published_of_pools,
};
const LOAD: Subject = Subject {
    title: "Getting started with kperf: kperf-runner and kperf-runnergroup",
    deviations: &DEVIATIONS_OF_LOADS,
    published: published_of_loads,
};

const BENCH: Subject = Subject {
    title: "Getting started with kperf: kperf-runner and kperf-virtualcluster nodepool",
    deviations: &DEVIATIONS_OF_BENCHES,
    published: |_| Vec::new(),
};
const GROUP: Subject = Subject {
    title: "Getting started with kperf: kperf-runnergroup",
    deviations: &DEVIATIONS_OF_GROUPS,
    published: published_of_loads,
};

const DEVIATIONS_OF_GROUPS: [&str; 5] = [
    "The nodes are containers of one machine: apiserver and runners share its cores. The document had a virtual machine for each node.",
    "A group's state is in the cluster, as a Job and ConfigMaps; kperf keeps a server Pod for it.",
    "A runner that is lost costs its own result (backoffLimitPerIndex); in kperf it ends the whole group.",
    "The runners run on any worker; the document's group asks for an instance type.",
    "What is listed are the Pods that a small cluster has by itself: an answer is smaller than the document's.",
];
const DEVIATIONS_OF_BENCHES: [&str; 7] = [
    DEVIATIONS_OF_LOADS[0],
    DEVIATIONS_OF_LOADS[1],
    DEVIATIONS_OF_LOADS[3],
    DEVIATIONS[0],
    "Pods run at once and those of Jobs complete at once; kperf's stages wait 1 s and a jitter of up to 5 s for each.",
    "All Deployments are in the trial's namespace; upstream has one for each. What is listed of one has the same limit.",
    "The load begins when nodes and Deployments are there; upstream may begin to restart before its runners are up.",
];
const DEVIATIONS_OF_LOADS: [&str; 4] = [
    "Latencies start at the intended send time and hold failures and timeouts; kperf starts its clock behind its own limiter, and drops failures.",
    "A group's runners send from the test's own process; kperf runs each in a Pod.",
    "The Pods of a load are not scheduled, so that nothing writes them while they are listed.",
    "Requests that name a namespace go to the trial's own.",
];
const DEVIATIONS: [&str; 4] = [
    "One kwok controller simulates the whole pool; kperf runs one kwok pod per virtual node in a real cluster.",
    "Nodes and pods are simulated: the step from scheduled to running is the simulation's own time, and no budget binds it.",
    "Pods run at once; kperf's stages wait 1 s and a jitter of up to 5 s.",
    "Nodes are as large as the document's example (32 CPU, 96 GiB), with upstream's default of 110 pods instead of 50.",
];
const DEVIATIONS_OF_OUR_CLUSTERS: [&str; 2] = [
    "Kubernetes, kwok and etcd are the pinned versions; the document's example shows kwok v0.5.1.",
    "etcd does not sync its disk, and the client rate limits of the controller manager and the scheduler are raised: see the settings in the record.",
];
const OF_REAL_NODES: &str = "Kubernetes is newer than in the document, and a kind cluster has one control plane: see the versions and settings of this record.";

/// Reads every row, those of the run that is about to begin with its overrides.
///
/// # Errors
/// For the first row that no driver takes, with its line.
pub fn check_rows() -> Result<(), Error> {
    SUITE.check(&[Kind::of::<NodePool>(), Kind::of::<Load>(), Kind::of::<Bench>(), Kind::of::<Group>()])
}

/// The row of the virtual node pool called `test`, on the fixture that every measuring row shares.
///
/// # Errors
/// When the row is unknown, a file is malformed, or an override does not fit.
pub fn nodepool_row(test: &str) -> Result<(Row, NodePool), Error> {
    row(&NODEPOOL, test, FIXTURE, None)
}

/// The row of a load called `test`, on the fixture that every measuring row shares.
///
/// # Errors
/// As [`nodepool_row`].
pub fn load_row(test: &str) -> Result<(Row, Load), Error> {
    row(&LOAD, test, FIXTURE, None)
}

/// The row of a bench with virtual nodes called `test`, on the fixture that every measuring row shares.
///
/// # Errors
/// As [`nodepool_row`].
pub fn bench_row(test: &str) -> Result<(Row, Bench), Error> {
    row(&BENCH, test, FIXTURE, None)
}

/// A row of a bench on the cluster that may be broken; see [`disturbed_row`].
///
/// # Errors
/// As [`nodepool_row`].
pub fn disturbed_bench_row(row: &str, test: &str) -> Result<(Row, Bench), Error> {
    self::row(&BENCH, row, DISTURBED_FIXTURE, Some(format!("disturbed/{test}")))
}

/// A row of a load on the cluster that may be broken; see [`disturbed_row`].
///
/// # Errors
/// As [`nodepool_row`].
pub fn disturbed_load_row(row: &str, test: &str) -> Result<(Row, Load), Error> {
    self::row(&LOAD, row, DISTURBED_FIXTURE, Some(format!("disturbed/{test}")))
}

/// A row on the cluster that may be broken, for a test that disturbs it and then looks at the verdict. Its record lies
/// in the directory `disturbed/<test>` of the run, apart from the results.
///
/// # Errors
/// As [`nodepool_row`].
pub fn disturbed_row(row: &str, test: &str) -> Result<(Row, NodePool), Error> {
    self::row(&NODEPOOL, row, DISTURBED_FIXTURE, Some(format!("disturbed/{test}")))
}

/// The row of a runner group called `test`, on the cluster of real nodes.
///
/// # Errors
/// As [`nodepool_row`].
pub fn group_row(test: &str) -> Result<(Row, Group), Error> {
    on_real_nodes(test, None)
}

/// A row of a runner group for a test that disturbs it; see [`disturbed_row`]. It shares the cluster of the others.
///
/// # Errors
/// As [`nodepool_row`].
pub fn disturbed_group_row(row: &str, test: &str) -> Result<(Row, Group), Error> {
    on_real_nodes(row, Some(format!("disturbed/{test}")))
}

fn on_real_nodes(test: &str, aside: Option<String>) -> Result<(Row, Group), Error> {
    // It has no needs: an image that is loaded on nodes from inside is nothing for a cluster of others.
    let (row, group) = row(&GROUP, test, KIND_FIXTURE, aside)?;
    Ok((Row { deviations_of_our_clusters: vec![OF_REAL_NODES.to_owned()], ..row }, group))
}

fn row<T: DeserializeOwned>(
    subject: &Subject,
    test: &str,
    fixture: &'static str,
    aside: Option<String>,
) -> Result<(Row, T), Error> {
    let (row, typed) = SUITE.row(test, fixture, (subject.title, "003-kperf"))?;
    let deviations = subject.deviations.iter().map(|deviation| (*deviation).to_owned()).collect();
    Ok((Row { deviations, published: (subject.published)(test), aside, ..row }, typed))
}

fn figure(figure: &str, theirs: &str, source: &str, metric: Option<&str>) -> Published {
    Published {
        figure: figure.to_owned(),
        theirs: theirs.to_owned(),
        source: source.to_owned(),
        metric: metric.map(str::to_owned),
        cell: None,
    }
}

/// The document has results of two of its examples, and of no bench.
fn published_of_loads(row: &str) -> Vec<Published> {
    let (one, ten) = ("document 003, `kperf runner run`", "document 003, `kperf rg result`");
    match row {
        "example_profile" => vec![
            figure("10 requests of the example profile, p50", "247.9 ms", one, Some("load_service_p50_ms")),
            figure("10 requests of the example profile, maximum", "286.7 ms", one, Some("load_service_max_ms")),
            figure("bytes of a request of the example profile", "285,645", one, Some("load_bytes_per_request")),
        ],
        "example_group" | "runner_group_smoke" => vec![
            figure("100 requests of 10 runners, p50", "84.2 ms", ten, Some("load_service_p50_ms")),
            figure("100 requests of 10 runners, p99", "186.3 ms", ten, Some("load_service_p99_ms")),
            figure("100 requests of 10 runners, maximum", "205.4 ms", ten, Some("load_service_max_ms")),
        ],
        _ => Vec::new(),
    }
}

fn published_of_pools(_: &str) -> Vec<Published> {
    let ci = "kwok's own CI benchmark, no scheduler, client limits off";
    vec![
        figure("nodes that a pool can simulate", "more than 1,000", "document 003", Some("nodes")),
        figure("nodes ready per second", "at least 83 (5,000 within 60 s)", ci, Some("create_nodes_per_s")),
        figure("pods running per second", "at least 167 (10,000 within 60 s)", ci, Some("create_pods_per_s")),
        figure("pods gone per second", "at least 111 (10,000 within 90 s)", ci, Some("delete_pods_per_s")),
        figure("nodes that are created and not yet ready", "at most 5", ci, Some("create_nodes_gap_max")),
        figure("pods that are created and not yet running", "at most 5", ci, Some("create_pods_gap_max")),
        figure("nodes or pods per second", "20", "kwok README", Some("create_pods_per_s")),
    ]
}
