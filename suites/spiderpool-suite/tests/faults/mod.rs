//! Fault rows: what Spiderpool goes through when something breaks in the middle of a phase. No address is given twice,
//! every pod is accounted for, and the verdict names what died.
//!
//! They run on the cluster that may be broken: `cargo nextest run -p spiderpool-suite --profile nightly`.

use std::sync::{Arc, OnceLock};
use std::thread::sleep;
use std::time::Duration;

use cluster::{Faults, State};
use harness::{Injection, fixture, judged};
use measure::Verdict;
use record::Trial;
use spiderpool_suite::matrix::drive;
use spiderpool_suite::plugin::Plugin;
use spiderpool_suite::{DISTURBED_FIXTURE, Interpose, disturbed_row};
use tokio::runtime::Handle;

/// The share of a phase's pods that run when the fault comes.
const SHARE: f64 = 0.3;

/// The plugin of a running trial, for whoever breaks it.
type Slot = Arc<OnceLock<Arc<dyn Plugin>>>;

/// Runs the row, and does `act` in `phase`.
async fn faulted(
    test: &str,
    phase: &'static str,
    what: &str,
    act: impl FnOnce(&dyn Plugin) -> Result<(), String> + Send + 'static,
) -> Trial {
    start_what_is_dead().unwrap();
    let (row, matrix) = disturbed_row("spiderpool_fault", test).unwrap();
    let slot = Slot::default();
    let interpose: Interpose = Box::new({
        let slot = Arc::clone(&slot);
        move |plugin| Arc::clone(slot.get_or_init(|| plugin))
    });
    let act = Box::new(move || slot.get().map_or(Err("no plugin runs".to_owned()), |plugin| act(&**plugin)));
    judged(row, async |trial| {
        trial.inject(Injection { phase, share: SHARE, what: what.to_owned(), act });
        drive(trial, &matrix, Some(interpose)).await
    })
    .await
    .unwrap()
}

fn faults() -> Faults {
    let (descriptor, fixtures) = fixture(DISTURBED_FIXTURE).unwrap();
    Faults::of(&fixtures, &descriptor.name)
}

/// A control plane's components are started again when they have died, as a kubelet does it with static pods: a scheduler
/// ends by itself when it cannot renew its Lease for 10 s.
fn start_what_is_dead() -> Result<(), String> {
    let (descriptor, _) = fixture(DISTURBED_FIXTURE).map_err(|error| error.to_string())?;
    let dead = descriptor.components.iter().filter(|component| component.process.state() == State::Dead);
    for component in dead {
        faults().restart(&component.name, &|_| ()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Nothing that can break an allocator makes it give an address twice.
fn nothing_twice(record: &Trial) {
    let broken = |metric: &str| record.metrics.get(metric).is_some_and(|count| *count > 0.0);
    let rules = ["addresses_held_twice", "addresses_shown_twice", "addresses_outside_pools"];
    assert!(!rules.into_iter().any(broken), "{}: {:?}", record.reason, record.notes);
}

/// The row has a verdict that is right for its fault.
fn judged_as(record: &Trial, right: &[Verdict]) {
    assert!(record.verdict.is_some_and(|verdict| right.contains(&verdict)), "none of {right:?}: {}", record.reason);
}

fn all_phases(record: &Trial) {
    assert!(record.phases.len() == 4 && record.phases.iter().all(|phase| phase.verdict.is_none()), "{}", record.reason);
    assert!(record.phases.iter().all(|phase| phase.unaccounted == 0), "{}", record.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_agent_is_killed_while_pods_come_up_and_started_again() {
    let runtime = Handle::current();
    let record = faulted("agents_killed", "create", "every agent killed", move |plugin| {
        plugin.power_off();
        runtime.block_on(plugin.power_on()).map_err(|error| error.to_string())
    })
    .await;
    nothing_twice(&record);
    all_phases(&record);
    judged_as(&record, &[Verdict::Fail]);
    assert!(record.component_deaths.iter().any(|death| death.contains("spiderpool-agent")), "{record:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_controller_is_killed_while_all_pods_are_replaced() {
    let record = faulted("controller_killed", "rebuild", "the controller killed", |plugin| {
        let controller = plugin.processes().into_iter().find(|component| component.name == "spiderpool-controller");
        let process = controller.map(|component| component.process).ok_or("there is no controller")?;
        process.kill(Duration::from_secs(5));
        if process.state() == State::Dead { Ok(()) } else { Err("it does not die".to_owned()) }
    })
    .await;
    nothing_twice(&record);
    // It stays dead: what only it does is not done.
    judged_as(&record, &[Verdict::Fail, Verdict::Stalled]);
    assert!(record.reason.contains("spiderpool-controller"), "{}", record.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_apiserver_is_restarted_while_pods_come_up() {
    let record = faulted("apiserver_restarted", "create", "kube-apiserver killed", |_| {
        faults().kill("kube-apiserver").map_err(|error| error.to_string())?;
        sleep(Duration::from_secs(2));
        faults().restart("kube-apiserver", &|_| ()).map(drop).map_err(|error| error.to_string())
    })
    .await;
    nothing_twice(&record);
    all_phases(&record);
    judged_as(&record, &[Verdict::Fail]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_stands_still_for_ten_seconds_while_all_pods_are_replaced() {
    let record = faulted("etcd_paused", "rebuild", "etcd paused for 10 s", |_| {
        faults().pause("etcd").map_err(|error| error.to_string())?;
        sleep(Duration::from_secs(10));
        faults().resume("etcd").map_err(|error| error.to_string())?;
        sleep(Duration::from_secs(5));
        start_what_is_dead()
    })
    .await;
    nothing_twice(&record);
    all_phases(&record);
    // It fails where a leader ended because it could not renew its Lease.
    judged_as(&record, &[if record.component_deaths.is_empty() { Verdict::Pass } else { Verdict::Fail }]);
}
