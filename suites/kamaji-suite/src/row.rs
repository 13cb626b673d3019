//! The rows of the suite: their parameters, budgets, deviations and the published figures beside ours.

use harness::{Error, Kind, Row, Rows, Suite};
use record::Published;

use crate::parameters::Benchmark;

/// Variable with the descriptor of the cluster that disturbed rows have to themselves.
pub const DISTURBED_FIXTURE: &str = "KUBEDYNO_FIXTURE_KWOK_DISTURBED";
/// Variable with the descriptor of a cluster that has few Service addresses.
const NARROW_FIXTURE: &str = "KUBEDYNO_FIXTURE_KWOK_NARROW";
const SUITE: Suite = Suite {
    package: env!("CARGO_PKG_NAME"),
    parameters: ("suites/kamaji-suite/parameters.toml", include_str!("../parameters.toml")),
    budgets: ("suites/kamaji-suite/budgets.toml", include_str!("../budgets.toml")),
    deviations_of_our_clusters: &[OF_OUR_CLUSTERS],
};

const DOCUMENT: (&str, &str) = ("Kamaji benchmark", "002-kamaji-benchmark");

const DEVIATIONS: [&str; 13] = [
    "The tenants' pods are simulated: a Tenant Control Plane is Ready when its Deployment is rolled out, and a pod is ready at once. What remains is the operator's and the DataStore's time.",
    "Where tenants are usable, their apiservers run as processes from their Deployments' own arguments and Secrets, beside --bind-address; one for each, of the clusters' version and not of the tenant's, without controller manager and scheduler. They are started when all tenants are Ready.",
    "The operator runs as a process under the rights of the cluster's administrator, without limits as in the document, and reaches its tenants by a proxy that stands for the Service network. Tenants that do not answer yet are waited for by the proxy.",
    "Where tenants have no apiserver, the operator is down while their deletion is asked for, because v1.0.0 blocks for ever on tenants that have not answered for 2 minutes: see lifecycle/delete.rs.",
    "networkProfile.address is ours: every tenant has an address of loopback, because its Service leads nowhere. The rest of the object is the document's.",
    "Objects are created through the API, not by a kubectl for each.",
    "Each DataStore is one etcd and not three; it does not sync its disk.",
    "All processes share the cores and the memory of the machine that measures; the document had 27 machines.",
    "Nodes are simulated: t3.medium as 2 CPUs and 4 GiB, r3.xlarge as 4 CPUs and 30 GiB, with as many pods as EKS allows on them.",
    "No Prometheus, no Grafana and no cert-manager: the operator's process and its /metrics are read directly, and its webhooks have a certificate of ours.",
    "The document's CPU figure is taken to be the largest mean of 30 s, its memory the largest resident set of the process.",
    "The management cluster is newer than any that Kamaji v1.0.0 knew: see the versions of this record.",
    "The document does not name its Kamaji; v1.0.0 is the newest that Go modules give.",
];
const OF_OUR_CLUSTERS: &str = "The management cluster's etcd does not sync its disk, and the client rate limits of the controller manager and the scheduler are raised: see the settings in the record.";

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
    SUITE.check(&[Kind::of::<Benchmark>()])
}

/// The row called `test`, on the fixture that every measuring row shares.
///
/// # Errors
/// When the row is unknown, a file is malformed, or an override does not fit.
pub fn benchmark_row(test: &str) -> Result<(Row, Benchmark), Error> {
    row(test, "KUBEDYNO_FIXTURE_KWOK", None)
}

/// A row on the cluster that may be broken, for a test that disturbs it and then looks at the verdict. Its record lies
/// in the directory `disturbed/<test>` of the run, apart from the results.
///
/// # Errors
/// As [`benchmark_row`].
pub fn disturbed_row(row: &str, test: &str) -> Result<(Row, Benchmark), Error> {
    self::row(row, DISTURBED_FIXTURE, Some(format!("disturbed/{test}")))
}

/// The same on a cluster that has few Service addresses.
///
/// # Errors
/// As [`benchmark_row`].
pub fn narrow_row(row: &str, test: &str) -> Result<(Row, Benchmark), Error> {
    self::row(row, NARROW_FIXTURE, Some(format!("disturbed/{test}")))
}

fn row(test: &str, fixture: &'static str, aside: Option<String>) -> Result<(Row, Benchmark), Error> {
    // It has no needs: kinds, webhooks and nodes of its own are nothing for a cluster of others.
    let (row, benchmark) = SUITE.row(test, fixture, DOCUMENT)?;
    let (deviations, published) = (DEVIATIONS.map(str::to_owned).into(), published(&benchmark));
    Ok((Row { deviations, published, aside, ..row }, benchmark))
}

/// The document's figures, beside those of ours that are computed its way.
fn published(row: &Benchmark) -> Vec<Published> {
    let figure = |figure: &str, theirs: &str, source: &str, metric: &str| Published {
        figure: figure.to_owned(),
        theirs: theirs.to_owned(),
        source: format!("document 002, {source}"),
        metric: Some(metric.to_owned()),
        cell: None,
    };
    let hundred = "Running 100 Tenant Control Planes using a single DataStore";
    let conclusion = "Conclusion";
    if row.datastores > 1 && row.tenants >= 1000 {
        let thousand = "Running a thousand of Tenant Control Planes using multiple DataStores";
        return vec![figure("time for 1,000 TCPs on several DataStores", "never published", thousand, "create_s")];
    }
    vec![
        figure("time for 100 TCPs", "~7m30s", hundred, "create_s"),
        figure("CPU at the peaks, 100 TCPs", "1200 mCPU", conclusion, "operator_peak_mcpu"),
        figure("memory, 100 TCPs", "~600 MiB", conclusion, "operator_peak_mib"),
        figure("CPU for one TCP", "12 mCPU", conclusion, "operator_peak_mcpu_per_tcp"),
        figure("memory for one TCP", "6 MiB", conclusion, "operator_peak_mib_per_tcp"),
    ]
}
