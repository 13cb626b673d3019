//! Each budget of a load can be missed.

use std::time::Duration;

use harness::{Injection, judged};
use kperf_suite::load::{OnLoad, drive};
use kperf_suite::{DISTURBED_FIXTURE, disturbed_load_row};
use measure::Verdict;
use record::Trial;

use super::{assert_missed, with};
use crate::means::{Neighbour, faults, pause};

pub(super) async fn disturbed(test: &'static str, on_load: Option<OnLoad>) -> Trial {
    let (row, load) = disturbed_load_row("load_disturbed", test).unwrap();
    judged(row, async |trial| drive(trial, &load, DISTURBED_FIXTURE, on_load).await).await.unwrap()
}

/// The control: what follows is the work of the disturbance, not of the row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_budget_of_a_load_is_missed_when_nothing_disturbs() {
    let record = disturbed("no_budget_of_a_load_is_missed_when_nothing_disturbs", None).await;
    assert_eq!(record.verdict, Some(Verdict::Pass), "{}", record.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_beside_a_noisy_neighbour_costs_too_much() {
    let neighbour = Neighbour::new();
    let noise = neighbour.clone();
    let test = "a_load_beside_a_noisy_neighbour_costs_too_much";
    let record = disturbed(test, Some(Box::new(move || noise.start()))).await;
    neighbour.stop();
    assert_missed(&record, Verdict::Fail, &["load_yardsticks_per_object", "load_etcd_puts_per_object"]);
}

/// A list comes from the apiserver's memory, a patch does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_stands_still_misses_the_latency_of_writes() {
    let test = "an_etcd_that_stands_still_misses_the_latency_of_writes";
    let (row, load) = disturbed_load_row("read_update_smoke", test).unwrap();
    let on_load = Box::new(|| {
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            pause("etcd", Duration::from_secs(6));
        });
    });
    let record = judged(row, async |trial| drive(trial, &load, DISTURBED_FIXTURE, Some(on_load)).await);
    assert_missed(&record.await.unwrap(), Verdict::Fail, &["patch_service_p50_x_readyz"]);
}

/// The apiserver's own count of lists and patches is what tells that the load is not what the row says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_of_other_requests_is_not_counted_as_that_of_the_row() {
    let test = "a_load_of_other_requests_is_not_counted_as_that_of_the_row";
    let (row, mut load) = disturbed_load_row("load_disturbed", test).unwrap();
    load.profile = "every-kind.yaml".to_owned();
    let record = judged(row, async |trial| drive(trial, &load, DISTURBED_FIXTURE, None).await);
    // It sends no list of the kinds whose times are judged.
    assert_missed(&record.await.unwrap(), Verdict::NoData, &["server_counted_share"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apiserver_that_dies_fails_what_it_was_asked() {
    let (row, load) = disturbed_load_row("load_disturbed", "an_apiserver_that_dies_fails_what_it_was_asked").unwrap();
    let act = Box::new(|| {
        // The load has begun by then.
        std::thread::sleep(Duration::from_secs(1));
        faults().kill("kube-apiserver").map(drop).map_err(|error| error.to_string())
    });
    let record = judged(row, async |trial| {
        trial.inject(Injection { phase: "load", share: 0.0, what: "kube-apiserver killed".to_owned(), act });
        drive(trial, &load, DISTURBED_FIXTURE, None).await
    });
    let record = record.await.unwrap();
    // Not while the load goes on: one of a thousand clients that connect again and again can take the port.
    faults().restart("kube-apiserver", &|_| ()).unwrap();
    assert_missed(&record, Verdict::NoData, &["load_error_share", "component_deaths"]);
    // Its counters began again, so they say nothing of the load.
    assert!(with(&record, Verdict::NoData).contains(&"server_counted_share"), "{}", record.reason);
}
