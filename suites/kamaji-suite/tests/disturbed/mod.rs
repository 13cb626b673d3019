//! Each budget can be missed: the running system is disturbed, and the verdict says so.
//!
//! These rows run on a cluster of their own. Their records lie in `disturbed/` of the run, apart from its results.

mod nightly;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use harness::judged;
use kamaji_suite::{Meddler, Scene, disturbed_row, lifecycle};
use measure::Verdict;
use record::Trial;

async fn disturbed(row: &str, test: &str, meddler: impl Meddler) -> Trial {
    let (row, benchmark) = disturbed_row(row, test).unwrap();
    judged(row, async |trial| lifecycle::drive(trial, &benchmark, Some(Arc::new(meddler))).await).await.unwrap()
}

fn verdict_of(record: &Trial, metric: &str) -> Verdict {
    let budget = record.budgets.iter().find(|budget| budget.metric == metric);
    budget.unwrap_or_else(|| panic!("no budget on {metric}")).verdict
}

fn all_missed(record: &Trial, metrics: &[&str]) {
    for metric in metrics {
        assert_eq!(verdict_of(record, metric), Verdict::Fail, "{metric}: {} {:?}", record.reason, record.notes);
    }
}

/// Nobody: the control, by which what follows is the work of the disturbance and not of the row.
struct Nobody;

impl Meddler for Nobody {
    fn beside(&self, _: &'static str, _: Scene) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_when_nobody_disturbs() {
    let record = disturbed("tcp_disturbed", "Nobody", Nobody).await;
    assert_eq!(record.verdict, Some(Verdict::Pass), "{}", record.reason);
}
