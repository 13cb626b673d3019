//! The rows of the suite: their parameters, budgets, deviations and the published figures beside ours.

use harness::{Context, Error, Row, Rows};
use measure::Budgets;
use record::Document;

use crate::document::published;
use crate::matrix::Matrix;
use crate::system::PluginName;
use crate::tier::Tier;

/// Variable with the descriptor of the cluster that disturbed rows have to themselves.
pub const DISTURBED_FIXTURE: &str = "KUBEDYNO_FIXTURE_KWOK_DISTURBED";
/// The name of the parameters' file in messages.
pub const ROWS_FILE: &str = "suites/spiderpool-suite/parameters.toml";
const PARAMETERS: &str = include_str!("../parameters.toml");
const BUDGETS_FILE: &str = "suites/spiderpool-suite/budgets.toml";
const BUDGETS: &str = include_str!("../budgets.toml");

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
const OF_TIER: &str = "No pod comes up: requests go to the plugin as fast as it answers, which no kubelet would do.";
const OF_OUR_CLUSTERS: &str = "etcd does not sync its disk, and the client rate limits of the controller manager and the scheduler are raised: see the settings in the record.";

/// The suite's parameters.
///
/// # Errors
/// When the file is malformed, with its line.
pub fn parameters() -> Result<Rows, Error> {
    Ok(Rows::parse(ROWS_FILE, PARAMETERS)?)
}

/// The row called `test`, on the fixture that every measuring row shares.
///
/// # Errors
/// When the row is unknown, a file is malformed, or an override does not fit.
pub fn matrix_row(test: &str) -> Result<(Row, Matrix), Error> {
    row(test, "KUBEDYNO_FIXTURE_KWOK", None)
}

/// The row of the IPAM tier called `test`.
///
/// # Errors
/// As [`matrix_row`].
pub fn tier_row(test: &str) -> Result<(Row, Tier), Error> {
    let (tier, parameters, overridden) = parameters()?.row::<Tier>(ROWS_FILE, test, &Context::from_env()?.sets)?;
    let row = bare(test, "KUBEDYNO_FIXTURE_KWOK", parameters, overridden)?;
    Ok((Row { deviations: vec![OF_TIER.to_owned()], ..row }, tier))
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
    let (matrix, parameters, overridden) =
        self::parameters()?.row::<Matrix>(ROWS_FILE, test, &Context::from_env()?.sets)?;
    let own = match matrix.plugin {
        PluginName::HostLocal => Some(OF_HOST_LOCAL),
        PluginName::Spiderpool => Some(OF_SPIDERPOOL),
        PluginName::Whereabouts => None,
    };
    let row = Row {
        deviations: DEVIATIONS.into_iter().chain(own).map(str::to_owned).collect(),
        published: published(&matrix),
        aside,
        // The floor has nothing to stall on; Whereabouts was seen to, by the document and here.
        comparator: matrix.plugin == PluginName::Whereabouts,
        ..bare(test, fixture, parameters, overridden)?
    };
    Ok((row, matrix))
}

/// What every row of the suite has in common.
fn bare(test: &str, fixture: &'static str, parameters: toml::Table, overridden: toml::Table) -> Result<Row, Error> {
    Ok(Row {
        suite: env!("CARGO_PKG_NAME"),
        test: test.to_owned(),
        fixture,
        document: Document {
            title: "Spiderpool performance test".to_owned(),
            name: "004-spiderpool-performance".to_owned(),
        },
        // Machines of its own, kinds and webhooks: nothing for a cluster of others.
        needs: None,
        lacks: None,
        deviations: Vec::new(),
        deviations_of_our_clusters: vec![OF_OUR_CLUSTERS.to_owned()],
        published: Vec::new(),
        aside: None,
        kubeconfig: None,
        arm: None,
        comparator: false,
        budgets: Budgets::parse(BUDGETS_FILE, BUDGETS)?,
        parameters,
        overridden,
    })
}
