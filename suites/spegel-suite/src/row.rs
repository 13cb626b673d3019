//! The rows of the suite: their parameters, budgets, deviations and the published figures beside ours.

use harness::{Error, Kind, Row, Rows, Suite};
use record::Published;
use serde::de::DeserializeOwned;

use crate::mirror::PROGRAM;
use crate::parameters::{Benchmark, Comparison, Simulated};

/// Variable with the descriptor of the kind cluster that rows with real pulls share.
pub const FIXTURE: &str = "KUBEDYNO_FIXTURE_KIND";
/// Variable with the descriptor of the kind cluster of nine workers.
const WIDE: &str = "KUBEDYNO_FIXTURE_KIND_WIDE";
/// Variable with the descriptor of the cluster of simulated nodes that measuring rows share.
const KWOK: &str = "KUBEDYNO_FIXTURE_KWOK";
/// Variable with the descriptor of the cluster of simulated nodes that disturbed rows have to themselves.
pub const DISTURBED_FIXTURE: &str = "KUBEDYNO_FIXTURE_KWOK_DISTURBED";
/// The name of the parameters' file in messages.
const ROWS_FILE: &str = "suites/spegel-suite/parameters.toml";
const SUITE: Suite = Suite {
    package: env!("CARGO_PKG_NAME"),
    parameters: (ROWS_FILE, include_str!("../parameters.toml")),
    budgets: ("suites/spegel-suite/budgets.toml", include_str!("../budgets.toml")),
    deviations_of_our_clusters: &[OF_OUR_CLUSTERS],
};

const DOCUMENT: (&str, &str) = ("Benchmark", "000-spegel-benchmark");

const DEVIATIONS: [&str; 8] = [
    "The nodes are containers of one machine: they share its cores, its disk and the way from the registry. The document had a virtual machine for each.",
    "The registry is on the nodes' own network, with its egress shaped by a token bucket; the document's was a public one.",
    "How fast the registry and the mirror send is a parameter of the row: a ratio of pull times that only mirrors it says nothing of the mirror.",
    "The images are generated from a seed, of the size in the parameters; their content is incompressible, and unpacks faster than real files.",
    "Both versions of an image share no layer; real releases may.",
    "Pods have 1 s to end instead of 30: their first process handles no SIGTERM, and every replacement would take them.",
    "No node holds a blob of an image before its step, by its content store; the document's tool removes images and does not look.",
    "The nodes have no network plugin of pods: ptp, host-local and portmap wire them, with static routes between the nodes.",
];
const OF_SPEGEL: [&str; 5] = [
    "Spegel runs from an image of a program that was given, and not from its project's: its check for that image is off.",
    "Spegel's manifests are ours and not its chart's: it shares its nodes' network, and its instances find each other by a name in their /etc/hosts.",
    "containerd's hosts.toml is written by the suite, and asks the node's own instance alone; the chart gives it a second way.",
    "Peers are shaped at their nodes: whatever a node sends counts, as little as that is.",
    "Spegel logs each request, by which its hits are attributed.",
];
const OF_SIMULATION: [&str; 2] = [
    "Nodes and pods are simulated: nothing is pulled, and the step from scheduled to running is the simulation's own time.",
    "All nodes are made for the row, and each takes one pod.",
];
const OF_OUR_CLUSTERS: &str =
    "Kubernetes and containerd are those of this record; the document names none, and no number of nodes.";

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
    SUITE.check(&[Kind::of::<Benchmark>(), Kind::of::<Comparison>(), Kind::of::<Simulated>()])
}

/// The row called `test`, with one mirror or none.
///
/// # Errors
/// When the row is unknown, a file is malformed, or an override does not fit.
pub fn benchmark_row(test: &str) -> Result<(Row, Benchmark), Error> {
    on_real_nodes(test, None)
}

/// The same for a test that disturbs it and then looks at the verdict. Its record lies in the directory `disturbed/<test>` of
/// the run, apart from the results.
///
/// # Errors
/// As [`benchmark_row`].
pub fn disturbed_row(row: &str, test: &str) -> Result<(Row, Benchmark), Error> {
    on_real_nodes(row, Some(format!("disturbed/{test}")))
}

/// The row called `test`, in which a mirror and none take turns.
///
/// # Errors
/// As [`benchmark_row`].
pub fn comparison_row(test: &str) -> Result<(Row, Comparison), Error> {
    on_real_nodes(test, None)
}

/// The same for a test that disturbs it, as [`disturbed_row`].
///
/// # Errors
/// As [`benchmark_row`].
pub fn disturbed_comparison_row(row: &str, test: &str) -> Result<(Row, Comparison), Error> {
    on_real_nodes(row, Some(format!("disturbed/{test}")))
}

/// A row of Spegel's: one run, or one in which Spegel and none take turns. Without a Spegel program it ends as `unsupported`. With
/// the name of a test that disturbs it, as [`disturbed_row`].
///
/// # Errors
/// As [`benchmark_row`].
pub fn spegel_row<T: DeserializeOwned>(test: &str, disturbed: Option<&str>) -> Result<(Row, T), Error> {
    let (row, typed) = on_real_nodes(test, disturbed.map(|disturbed| format!("disturbed/{disturbed}")))?;
    let rows = parameters()?;
    let needs = rows.absent().find(|(row, _)| *row == test).map(|(_, needs)| needs.to_owned());
    let needs = needs.ok_or_else(|| Error::Environment(format!("{ROWS_FILE}: there is no `[absent.{test}]`")))?;
    let lacks = std::env::var_os(PROGRAM).is_none_or(|path| path.is_empty()).then_some(needs);
    let deviations = row.deviations.into_iter().chain(OF_SPEGEL.map(str::to_owned)).collect();
    Ok((Row { lacks, deviations, ..row }, typed))
}

/// The row called `test`, on simulated nodes.
///
/// # Errors
/// As [`benchmark_row`].
pub fn simulated_row(test: &str) -> Result<(Row, Simulated), Error> {
    on_simulated_nodes(test, KWOK, None)
}

/// The same on the cluster that may be broken, as [`disturbed_row`].
///
/// # Errors
/// As [`benchmark_row`].
pub fn disturbed_simulated_row(row: &str, test: &str) -> Result<(Row, Simulated), Error> {
    on_simulated_nodes(row, DISTURBED_FIXTURE, Some(format!("disturbed/{test}")))
}

fn on_real_nodes<T: DeserializeOwned>(test: &str, aside: Option<String>) -> Result<(Row, T), Error> {
    // It has no needs: a registry beside the nodes, and commands inside of them, are nothing for a cluster of others.
    let fixture = if test.ends_with("_wide_published") { WIDE } else { FIXTURE };
    let (row, parameters) = SUITE.row(test, fixture, DOCUMENT)?;
    Ok((Row { deviations: DEVIATIONS.map(str::to_owned).into(), published: published(), aside, ..row }, parameters))
}

fn on_simulated_nodes(test: &str, fixture: &'static str, aside: Option<String>) -> Result<(Row, Simulated), Error> {
    let (row, parameters) = SUITE.row(test, fixture, DOCUMENT)?;
    Ok((Row { deviations: OF_SIMULATION.map(str::to_owned).into(), aside, ..row }, parameters))
}

/// The document publishes sentences; what stands here is the newer tool's (2025-06-13, 10 nodes, no Spegel).
fn published() -> Vec<Published> {
    let figure = |figure: &str, theirs: &str, metric: &str| Published {
        figure: figure.to_owned(),
        theirs: theirs.to_owned(),
        source: "results/baseline.json of spegel-org/benchmark-results, 10MB-1, on other hardware".to_owned(),
        metric: Some(metric.to_owned()),
        cell: None,
    };
    vec![
        figure("create, pull p50 without Spegel", "3.414 s", "create_pull_p50_ms"),
        figure("update, pull p50 without Spegel", "1.196 s", "update_pull_p50_ms"),
    ]
}
