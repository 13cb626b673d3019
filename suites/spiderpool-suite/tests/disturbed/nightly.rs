//! What takes longer than a minute: it runs with the fault rows.

use cluster::connect;
use harness::fixture;
use spiderpool_suite::DISTURBED_FIXTURE;

use super::{all_missed, disturbed_matrix, wasteful};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cost_is_missed_when_the_plugin_wastes() {
    let client = connect(&fixture(DISTURBED_FIXTURE).unwrap().0).await.unwrap();
    let record = disturbed_matrix("spiderpool_v4_1x100", "Wasteful", wasteful(client)).await;
    let costs = record.budgets.iter().filter(|budget| budget.metric.ends_with("_per_object"));
    let costs: Vec<&str> = costs.map(|budget| budget.metric.as_str()).collect();
    assert_eq!(costs.len(), 7, "of each of three phases its requests and bytes, and the CPU of all");
    all_missed(&record, &costs);
}
