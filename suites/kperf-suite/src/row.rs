//! The rows of the suite: their parameters, budgets, deviations and the figures that stand beside ours.

use harness::{Context, Error, Row, Rows};
use measure::Budgets;
use record::{Document, Published};

use crate::nodepool::NodePool;

/// Variable with the descriptor of the cluster that disturbed rows have to themselves.
pub const DISTURBED_FIXTURE: &str = "KUBEDYNO_FIXTURE_KWOK_DISTURBED";
/// The name of the parameters' file in messages.
pub const ROWS_FILE: &str = "suites/kperf-suite/parameters.toml";
const PARAMETERS: &str = include_str!("../parameters.toml");
const BUDGETS_FILE: &str = "suites/kperf-suite/budgets.toml";
const BUDGETS: &str = include_str!("../budgets.toml");

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

/// The suite's parameters.
///
/// # Errors
/// When the file is malformed, with its line.
pub fn parameters() -> Result<Rows, Error> {
    Ok(Rows::parse(ROWS_FILE, PARAMETERS)?)
}

/// The row of the virtual node pool called `test`, on the fixture that every measuring row shares.
///
/// # Errors
/// When the row is unknown, a file is malformed, or an override does not fit.
pub fn nodepool_row(test: &str) -> Result<(Row, NodePool), Error> {
    row(test, "KUBEDYNO_FIXTURE_KWOK", None)
}

/// A row on the cluster that may be broken, for a test that disturbs it and then looks at the verdict. Its record lies
/// in the directory `disturbed/<test>` of the run, apart from the results.
///
/// # Errors
/// As [`nodepool_row`].
pub fn disturbed_row(row: &str, test: &str) -> Result<(Row, NodePool), Error> {
    self::row(row, DISTURBED_FIXTURE, Some(format!("disturbed/{test}")))
}

fn row(test: &str, fixture: &'static str, aside: Option<String>) -> Result<(Row, NodePool), Error> {
    let sets = Context::from_env()?.sets;
    let rows = parameters()?;
    let (pool, parameters, overridden) = rows.row::<NodePool>(ROWS_FILE, test, &sets)?;
    let row = Row {
        suite: env!("CARGO_PKG_NAME"),
        test: test.to_owned(),
        fixture,
        document: Document {
            title: "Getting started with kperf: kperf-virtualcluster nodepool".to_owned(),
            name: "003-kperf".to_owned(),
        },
        needs: rows.needs(ROWS_FILE, test, &sets)?,
        deviations: DEVIATIONS.map(str::to_owned).into(),
        deviations_of_our_clusters: DEVIATIONS_OF_OUR_CLUSTERS.map(str::to_owned).into(),
        published: published(),
        aside,
        kubeconfig: None,
        arm: None,
        budgets: Budgets::parse(BUDGETS_FILE, BUDGETS)?,
        parameters,
        overridden,
    };
    Ok((row, pool))
}

fn published() -> Vec<Published> {
    let figure = |figure: &str, theirs: &str, source: &str, metric: Option<&str>| Published {
        figure: figure.to_owned(),
        theirs: theirs.to_owned(),
        source: source.to_owned(),
        metric: metric.map(str::to_owned),
    };
    let ci = "kwok's own CI benchmark, no scheduler, client limits off";
    vec![
        figure("nodes that a pool can simulate", "more than 1,000", "document 003", Some("nodes")),
        figure("nodes ready per second", "at least 83 (5,000 within 60 s)", ci, Some("create_nodes_per_s")),
        figure("pods running per second", "at least 167 (10,000 within 60 s)", ci, Some("create_pods_per_s")),
        figure("pods gone per second", "at least 111 (10,000 within 90 s)", ci, Some("delete_pods_per_s")),
        figure("nodes or pods per second", "20", "kwok README", Some("create_pods_per_s")),
    ]
}
