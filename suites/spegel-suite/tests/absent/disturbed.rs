//! Each budget of Spegel's rows can be missed. Their records lie in `disturbed/` of the run, apart from its results.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread::{sleep, spawn};
use std::time::Duration;

use disturb::{Kubelets, missed, when};
use harness::{compared, judged};
use images::{Fault, Kind, Rule};
use record::Trial;
use spegel_suite::mirror::REGISTRY_PORT;
use spegel_suite::{Benchmark, Comparison, Disturb, Rig, drive, spegel_row};

/// Runs the row in turns, with something done before each run of Spegel's and something when everything is there.
async fn disturbed(test: &'static str, before: impl Fn(), disturb: impl Fn() -> Option<Disturb>) -> Trial {
    let (row, comparison) = spegel_row::<Comparison>("spegel_disturbed", Some(test)).unwrap();
    if row.lacks.is_some() {
        return Box::pin(judged(row, async |_| Ok(()))).await.unwrap();
    }
    let arms = comparison.arms();
    let turns = compared(row, &arms, async |trial, arm| {
        let disturb = if arm == "none" { None } else { disturb() };
        if arm != "none" {
            before();
        }
        drive(trial, &comparison.benchmark(arm), disturb).await
    });
    Box::pin(turns).await.unwrap()
}

fn all_missed(record: &Trial, metrics: &[&str]) {
    for metric in metrics {
        assert!(missed(record, metric), "{metric} is met: {} {:?}", record.reason, record.metrics.get(*metric));
    }
}

/// The control.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_when_nothing_disturbs() {
    let test = "nothing_of_spegels_is_missed_when_nothing_disturbs";
    let (row, benchmark) = spegel_row::<Benchmark>("spegel_fault", Some(test)).unwrap();
    let record = Box::pin(judged(row, async |trial| drive(trial, &benchmark, None).await)).await.unwrap();
    assert_eq!(record.verdict, Some(measure::Verdict::Pass), "{}", record.reason);
}

/// No node asks Spegel any more, and the registry has become slow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_are_silently_passed_over_are_seen() {
    let passed_over = |rig: &Rig| {
        rig.origin.mirrored(&rig.workers, |_| None).unwrap();
        let slow = Fault::Slow { bytes_per_second: 3_000_000 };
        rig.origin.proxy().faults.inject(Rule { kind: Some(Kind::Blob), ..Rule::every(slow) });
    };
    let test = "instances_that_are_silently_passed_over_are_seen";
    let record = disturbed(test, || (), || Some(Box::new(passed_over))).await;
    all_missed(&record, &["spegel_update_origin_copies"]);
    all_missed(&record, &["spegel_to_none_create_pull_max_ms", "spegel_to_none_update_pull_p50_ms"]);
}

/// A stranger gets a layer of an instance, and its counter tells of more than the nodes asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_the_log_attributes_to_no_node_are_seen() {
    let test = "bytes_that_the_log_attributes_to_no_node_are_seen";
    let (row, comparison) = spegel_row::<Comparison>("spegel_disturbed", Some(test)).unwrap();
    let arms = comparison.arms();
    let turns = compared(row, &arms, async |trial, arm| {
        let place = Arc::new(OnceLock::new());
        let found = Arc::clone(&place);
        let look = move |rig: &Rig| {
            let layer = rig.images[0].layers.last().map(|layer| layer.digest().to_string()).unwrap_or_default();
            let path = format!("/v2/spegel-benchmark/blobs/{layer}?ns=origin.test");
            found.set((SocketAddr::new(rig.workers[0].address, REGISTRY_PORT), path)).ok();
        };
        if arm != "none" {
            let get = move || place.get().ok_or("nothing has begun".to_owned()).and_then(|(at, path)| get(*at, path));
            trial.inject(when("update", 0.0, "a stranger's request", get));
        }
        drive(trial, &comparison.benchmark(arm), Some(Box::new(look))).await
    });
    let record = Box::pin(turns).await.unwrap();
    all_missed(&record, &["spegel_update_mirror_counters_off_percent"]);
}

/// Kubelets that stand still start no instance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_are_late_are_seen() {
    let stand_still = || {
        let kubelets = Kubelets::of_workers();
        kubelets.pause();
        spawn(move || {
            // The registry is filled before the instances are asked for.
            sleep(Duration::from_secs(85));
            drop(kubelets);
        });
    };
    let record = disturbed("instances_that_are_late_are_seen", stand_still, || None).await;
    all_missed(&record, &["spegel_mirror_ready_s"]);
}

/// Gets something and throws it away.
fn get(at: SocketAddr, path: &str) -> Result<(), String> {
    let got = || {
        let mut stream = TcpStream::connect(at)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    match got() {
        Ok(answer) if answer.starts_with(b"HTTP/1.1 200") => Ok(()),
        Ok(answer) => Err(String::from_utf8_lossy(&answer).chars().take(200).collect()),
        Err(error) => Err(error.to_string()),
    }
}
