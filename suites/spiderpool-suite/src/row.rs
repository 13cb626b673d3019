//! The rows of the suite: their parameters, budgets, deviations and the published figures beside ours.

use harness::{Error, Kind, Row, Rows, Suite};

use crate::absent::Absent;
use crate::document::published;
use crate::matrix::Matrix;
use crate::system::PluginName;
use crate::tier::{Ratio, Tier};

/// Variable with the descriptor of the cluster that every measuring row shares.
const FIXTURE: &str = "KUBEDYNO_FIXTURE_KWOK";
/// Variable with the descriptor of the cluster that disturbed rows have to themselves.
pub const DISTURBED_FIXTURE: &str = "KUBEDYNO_FIXTURE_KWOK_DISTURBED";
/// The name of the parameters' file in messages.
const ROWS_FILE: &str = "suites/spiderpool-suite/parameters.toml";
const SUITE: Suite = Suite {
    package: env!("CARGO_PKG_NAME"),
    parameters: (ROWS_FILE, include_str!("../parameters.toml")),
    budgets: ("suites/spiderpool-suite/budgets.toml", include_str!("../budgets.toml")),
    deviations_of_our_clusters: &[OF_OUR_CLUSTERS],
};

/// Its rows have no needs: machines of their own, kinds and webhooks are nothing for a cluster of others.
const DOCUMENT: (&str, &str) = ("Spiderpool performance test", "004-spiderpool-performance");

const DEVIATIONS: [&str; 9] = [
    "Kubelets and container runtimes are simulated: no network is built by macvlan, and no container runs. What remains of a pod's time is the control plane's and the plugin's.",
    "Of a kubelet's status updates only the one that says Running is sent, and pods have no containers that take time to start or to end.",
    "Machines have no control plane of their own beside them: the document's cluster had 3 masters on machines of their own, ours is one apiserver and one etcd.",
    "A machine takes 150 pods, because 1,000 of them do not fit on 7 with kubelet's default of 110.",
    "All processes share the cores and the memory of the machine that measures.",
    "At power-off the machines' condition is set to Unknown at once, as the node controller would do after its grace; pods keep their Ready condition until their new sandbox shows.",
    "At power-on a machine's pods are started again when its agent is ready; Spiderpool's controller and the control plane do not lose power.",
    "One address in the middle of each pool is excluded, so that there is something to be wrong about.",
    "Spiderpool and Whereabouts are newer than in the document (v0.4.1 and v0.6.1): see the versions of this record.",
];
const OF_HOST_LOCAL: &str = "host-local has a range for each machine, as large as the pods that it takes: its addresses are not as scarce as those of a shared pool.";
const OF_SPIDERPOOL: &str = "Spiderpool's agents and its controller run as processes under the rights of the cluster's administrator; agents are asked over their sockets with what the CNI program sends, without running it.";
const OF_SPIDERPOOL_EXEC: &str = "Spiderpool's agents and its controller run as processes under the rights of the cluster's administrator; the CNI program is run for each request, and told of no network namespace: it announces no address, which it does last.";
const OF_SUBNETS: &str = "The SpiderSubnets have exactly as many addresses as there are pods, and each Deployment asks for as many as it has pods, and none beyond them.";
const OF_NODE_SLICES: &str = "Each machine's slice has 254 addresses: slices are powers of two, so that addresses are not as scarce as those of a shared pool.";
const OF_TIER: &str = "No pod comes up: requests go to the plugin as fast as it answers, which no kubelet would do.";
const OF_OUR_CLUSTERS: &str = "etcd does not sync its disk, and the client rate limits of the controller manager and the scheduler are raised: see the settings in the record.";

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
    SUITE.check(&[Kind::of::<Matrix>(), Kind::of::<Tier>(), Kind::of::<Ratio>(), Kind::of::<Absent>()])
}

/// The row called `test`, on the fixture that every measuring row shares.
///
/// # Errors
/// When the row is unknown, a file is malformed, or an override does not fit.
pub fn matrix_row(test: &str) -> Result<(Row, Matrix), Error> {
    row(test, FIXTURE, None)
}

/// The row of the IPAM tier called `test`.
///
/// # Errors
/// As [`matrix_row`].
pub fn tier_row(test: &str) -> Result<(Row, Tier), Error> {
    let (row, tier) = SUITE.row::<Tier>(test, FIXTURE, DOCUMENT)?;
    let deviations = std::iter::once(OF_TIER).chain(own_deviations(tier.plugin)).map(str::to_owned).collect();
    Ok((Row { deviations, comparator: tier.plugin.is_comparator(), ..row }, tier))
}

/// The row called `test` that compares two plugins in one run.
///
/// # Errors
/// As [`matrix_row`].
pub fn ratio_row(test: &str) -> Result<(Row, Ratio), Error> {
    ratio(test, FIXTURE, None)
}

/// The same on the cluster that may be broken, as [`disturbed_row`].
///
/// # Errors
/// As [`matrix_row`].
pub fn disturbed_ratio_row(row: &str, test: &str) -> Result<(Row, Ratio), Error> {
    ratio(row, DISTURBED_FIXTURE, Some(format!("disturbed/{test}")))
}

fn ratio(test: &str, fixture: &'static str, aside: Option<String>) -> Result<(Row, Ratio), Error> {
    let (row, ratio) = SUITE.row(test, fixture, DOCUMENT)?;
    let deviations = [OF_TIER, OF_HOST_LOCAL, OF_SPIDERPOOL].map(str::to_owned).into();
    Ok((Row { deviations, aside, ..row }, ratio))
}

/// The row called `test`, of a plugin that is not to be had: it ends as `unsupported`.
///
/// # Errors
/// As [`matrix_row`].
pub fn absent_row(test: &str) -> Result<Row, Error> {
    let rows = parameters()?;
    let (row, absent) = SUITE.row::<Absent>(test, FIXTURE, DOCUMENT)?;
    let lacks = rows.absent().find(|(row, _)| *row == test).map(|(_, needs)| needs.to_owned());
    let Absent { plugin, families, deployments, replicas } = absent;
    Ok(Row {
        lacks: Some(lacks.ok_or_else(|| Error::Environment(format!("{ROWS_FILE}: there is no `[absent.{test}]`")))?),
        published: published(plugin.system(), families, deployments, replicas),
        comparator: true,
        ..row
    })
}

/// A row on the cluster that may be broken, for a test that disturbs it and then looks at the verdict. Its record lies
/// in the directory `disturbed/<test>` of the run, apart from the results.
///
/// # Errors
/// As [`matrix_row`].
pub fn disturbed_row(row: &str, test: &str) -> Result<(Row, Matrix), Error> {
    self::row(row, DISTURBED_FIXTURE, Some(format!("disturbed/{test}")))
}

fn row(test: &str, fixture: &'static str, aside: Option<String>) -> Result<(Row, Matrix), Error> {
    let (row, matrix) = SUITE.row::<Matrix>(test, fixture, DOCUMENT)?;
    let Matrix { plugin, families, deployments, replicas, .. } = matrix;
    let row = Row {
        deviations: DEVIATIONS.into_iter().chain(own_deviations(plugin)).map(str::to_owned).collect(),
        published: published(plugin.system(), families, deployments, replicas),
        aside,
        // The floor has nothing to stall on; Whereabouts was seen to, by the document and here.
        comparator: plugin.is_comparator(),
        ..row
    };
    Ok((row, matrix))
}

fn own_deviations(plugin: PluginName) -> impl Iterator<Item = &'static str> {
    let own = match plugin {
        PluginName::HostLocal => &[OF_HOST_LOCAL][..],
        PluginName::Spiderpool => &[OF_SPIDERPOOL],
        PluginName::SpiderpoolExec => &[OF_SPIDERPOOL_EXEC],
        PluginName::SpiderpoolSubnet => &[OF_SPIDERPOOL, OF_SUBNETS],
        PluginName::Whereabouts => &[],
        PluginName::WhereaboutsNodeSlice => &[OF_NODE_SLICES],
    };
    own.iter().copied()
}
