//! Each budget can be missed: the running system is disturbed, and the verdict says so.
//!
//! These rows run on a cluster of their own. Their records lie in `disturbed/` of the run, apart from its results.

mod nightly;

use std::sync::Arc;
use std::time::Duration;

use cluster::Slowed;
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

/// Somebody who lets the operator have a quarter of its time.
struct Brake;

impl Meddler for Brake {
    fn beside(&self, phase: &'static str, scene: Scene) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if phase == "create" {
                let _slowed = Slowed::processes(vec![scene.operator], 4.0);
                std::future::pending::<()>().await;
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_is_missed_when_the_operator_is_slow() {
    let record = disturbed("tcp_disturbed", "Brake", Brake).await;
    all_missed(&record, &["create_to_bare"]);
}

/// Somebody who asks the operator for its metrics all the time.
struct Scraper;

impl Meddler for Scraper {
    fn beside(&self, phase: &'static str, scene: Scene) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if phase == "create" {
                tokio::join!(scrape(&scene), scrape(&scene), scrape(&scene));
            }
        })
    }
}

async fn scrape(scene: &Scene) {
    loop {
        let url = scene.metrics.clone();
        let page = tokio::task::spawn_blocking(move || {
            ureq::get(url).call().ok().and_then(|page| page.into_body().read_to_vec().ok())
        });
        page.await.ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cpu_is_missed_when_the_operator_has_other_things_to_do() {
    let record = disturbed("tcp_disturbed", "Scraper", Scraper).await;
    all_missed(&record, &["create_operator_cpu_to_bare_keys"]);
}

/// Somebody who burns the harness's own CPU.
struct Glutton;

impl Meddler for Glutton {
    fn beside(&self, phase: &'static str, _: Scene) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if phase != "create" {
                return;
            }
            loop {
                let until = std::time::Instant::now() + Duration::from_millis(200);
                while std::time::Instant::now() < until {
                    std::hint::spin_loop();
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_harness_that_costs_much_is_told() {
    let record = disturbed("tcp_disturbed", "Glutton", Glutton).await;
    all_missed(&record, &["create_harness_cpu_share_of_operator", "harness_cpu_share_of_operator"]);
}
