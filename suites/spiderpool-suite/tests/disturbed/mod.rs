//! Each check of addresses can fail: a plugin that misbehaves is put between the kubelets and a real one, and the verdict
//! says what it did.
//!
//! These rows run on a cluster of their own. Their records lie in `disturbed/` of the run, apart from its results.

mod nightly;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use cluster::{Component, Faults, connect};
use futures_util::future::BoxFuture;
use harness::{Error, compared, fixture, judged};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use measure::Verdict;
use record::Trial;
use rstest::rstest;
use serde_json::json;
use spiderpool_suite::automatic::AutomaticPool;
use spiderpool_suite::matrix::drive;
use spiderpool_suite::plugin::{Failure, Plugin, Records, Sandbox};
use spiderpool_suite::pool::Family;
use spiderpool_suite::{DISTURBED_FIXTURE, Interpose, disturbed_ratio_row, disturbed_row, exhaustion, tier};

/// What a plugin does wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mischief {
    /// It answers the second request with the addresses of the first.
    GivesTwice,
    /// It gives the gateway.
    GivesTheGateway,
    /// It gives no IPv6 address.
    GivesOneFamily,
    /// It says that it has released a sandbox, and has not.
    KeepsOne,
    /// One of its records is lost.
    ForgetsOne,
    /// Its records contradict themselves.
    Contradicts,
    /// It has no address for the pod that asks first.
    RefusesOne,
}

struct Misbehaving {
    plugin: Arc<dyn Plugin>,
    mischief: Mischief,
    /// What the plugin gave, in the order of its answers: requests overtake each other.
    answers: Mutex<Vec<Vec<IpAddr>>>,
    dels: AtomicUsize,
    refused: OnceLock<String>,
}

impl Plugin for Misbehaving {
    fn add<'a>(&'a self, sandbox: &'a Sandbox) -> BoxFuture<'a, Result<Vec<IpAddr>, Failure>> {
        Box::pin(async move {
            if self.mischief == Mischief::RefusesOne && *self.refused.get_or_init(|| sandbox.pod.clone()) == sandbox.pod
            {
                return Err(Failure::Refused("not you".to_owned()));
            }
            let mut given = self.plugin.add(sandbox).await?;
            let mut answers = self.answers.lock().unwrap();
            answers.push(given.clone());
            if answers.len() == 2 {
                match self.mischief {
                    Mischief::GivesTwice => given.clone_from(&answers[0]),
                    Mischief::GivesTheGateway => given[0] = Family::V4.gateway(),
                    Mischief::GivesOneFamily => given.retain(IpAddr::is_ipv4),
                    _ => {}
                }
            }
            Ok(given)
        })
    }

    fn del<'a>(&'a self, sandbox: &'a Sandbox) -> BoxFuture<'a, Result<Option<Failure>, Failure>> {
        let first = self.dels.fetch_add(1, Ordering::SeqCst) == 0;
        match first && self.mischief == Mischief::KeepsOne {
            true => Box::pin(async { Ok(None) }),
            false => self.plugin.del(sandbox),
        }
    }

    fn records(&self) -> BoxFuture<'_, Result<Records, Error>> {
        Box::pin(async {
            let mut records = self.plugin.records().await?;
            match self.mischief {
                Mischief::ForgetsOne => drop(records.records.pop()),
                Mischief::Contradicts => records.contradictions.push("a count is not that of its entries".to_owned()),
                _ => {}
            }
            Ok(records)
        })
    }
}

async fn disturbed(test: &str, mischief: Option<Mischief>) -> Trial {
    let (row, matrix) = disturbed_row("checks_disturbed", test).unwrap();
    let interpose = mischief.map(|mischief| {
        let misbehaving = move |plugin| -> Arc<dyn Plugin> {
            let (answers, dels, refused) = (Mutex::default(), AtomicUsize::new(0), OnceLock::new());
            Arc::new(Misbehaving { plugin, mischief, answers, dels, refused })
        };
        Box::new(misbehaving) as Interpose
    });
    judged(row, async |trial| drive(trial, &matrix, interpose).await).await.unwrap()
}

/// The control: what follows is the work of the plugin, not of the row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_found_when_the_plugin_is_right() {
    let record = disturbed("nothing_is_found_when_the_plugin_is_right", None).await;
    assert_eq!(record.verdict, Some(Verdict::Pass), "{}", record.reason);
}

#[rstest]
#[case::one_address_for_two(Mischief::GivesTwice, &["addresses_held_twice", "addresses_shown_twice"])]
#[case::the_gateway(Mischief::GivesTheGateway, &["addresses_outside_pools"])]
#[case::one_family_of_two(Mischief::GivesOneFamily, &["pods_without_one_address_a_family"])]
#[case::an_address_that_is_kept(Mischief::KeepsOne, &["addresses_leaked"])]
#[case::a_record_that_is_lost(Mischief::ForgetsOne, &["addresses_in_no_record"])]
#[case::records_that_contradict_themselves(Mischief::Contradicts, &["contradictions_in_records"])]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_misbehaves_is_found(#[case] mischief: Mischief, #[case] missed: &[&str]) {
    let record = disturbed(&format!("{mischief:?}"), Some(mischief)).await;
    assert_eq!(record.verdict, Some(Verdict::Fail), "{}", record.reason);
    all_missed(&record, missed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_never_gets_an_address_is_a_stall_and_is_named() {
    let record = disturbed("RefusesOne", Some(Mischief::RefusesOne)).await;
    assert_eq!(record.verdict, Some(Verdict::Stalled), "{}", record.reason);
    assert!(record.reason.contains("create: stalled at 9/10"), "{}", record.reason);
    let budget = record.budgets.iter().find(|budget| budget.metric == "unaccounted_objects").unwrap();
    assert_eq!(budget.verdict, Verdict::Fail, "{}", record.reason);
    assert!(record.notes.iter().any(|note| note.contains("not you")), "{:?}", record.notes);
}

/// What is done with a plugin at hand before it hears of a request.
type Before = Box<dyn Fn(Arc<dyn Plugin>, Sandbox) -> BoxFuture<'static, ()> + Send + Sync>;

/// A plugin before whose answers something is done, or whose Deployments ask for something else.
struct Meddled {
    plugin: Arc<dyn Plugin>,
    before: Before,
    annotations: Option<BTreeMap<String, String>>,
}

impl Meddled {
    fn before<F>(before: impl Fn(Arc<dyn Plugin>, Sandbox) -> F + Send + Sync + 'static) -> Interpose
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Box::new(move |plugin| {
            let before: Before = Box::new(move |plugin, sandbox| Box::pin(before(plugin, sandbox)));
            Arc::new(Self { plugin, before, annotations: None })
        })
    }
}

impl Plugin for Meddled {
    fn add<'a>(&'a self, sandbox: &'a Sandbox) -> BoxFuture<'a, Result<Vec<IpAddr>, Failure>> {
        Box::pin(async move {
            (self.before)(Arc::clone(&self.plugin), sandbox.clone()).await;
            self.plugin.add(sandbox).await
        })
    }

    fn del<'a>(&'a self, sandbox: &'a Sandbox) -> BoxFuture<'a, Result<Option<Failure>, Failure>> {
        Box::pin(async move {
            (self.before)(Arc::clone(&self.plugin), sandbox.clone()).await;
            self.plugin.del(sandbox).await
        })
    }

    fn records(&self) -> BoxFuture<'_, Result<Records, Error>> {
        self.plugin.records()
    }

    fn annotations(&self) -> BTreeMap<String, String> {
        self.annotations.clone().unwrap_or_else(|| self.plugin.annotations())
    }

    fn automatic_pools(&self) -> BoxFuture<'_, Result<Option<Vec<AutomaticPool>>, Error>> {
        self.plugin.automatic_pools()
    }

    fn processes(&self) -> Vec<Component> {
        self.plugin.processes()
    }

    fn power_off(&self) {
        self.plugin.power_off();
    }

    fn power_on(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.plugin.power_on()
    }
}

/// A plugin that does twice as much of everything: it asks the apiserver and the agents, writes to etcd, gives the
/// controller something to look at, and burns CPU.
fn wasteful(client: Client) -> Interpose {
    let asked = Arc::new(AtomicUsize::new(0));
    Meddled::before(move |plugin, sandbox| {
        let nth = asked.fetch_add(1, Ordering::SeqCst);
        waste(client.clone(), plugin, sandbox, nth)
    })
}

async fn waste(client: Client, plugin: Arc<dyn Plugin>, sandbox: Sandbox, nth: usize) {
    let objects: Api<ConfigMap> = Api::namespaced(client.clone(), &sandbox.namespace);
    for i in 0..8 {
        let object = json!({"metadata": {"name": format!("waste-{nth}-{i}")}, "data": {"x": "x".repeat(8 << 10)}});
        let object: ConfigMap = serde_json::from_value(object).unwrap();
        objects.create(&PostParams::default(), &object).await.unwrap();
    }
    let pods: Api<Pod> = Api::namespaced(client, &sandbox.namespace);
    let nobody = Sandbox { pod: format!("nobody-{nth}"), ..sandbox.clone() };
    for i in 0..10 {
        let annotation = Patch::Merge(json!({"metadata": {"annotations": {"wasted": i.to_string()}}}));
        // Whoever is to go may be gone by now.
        pods.patch_metadata(&sandbox.pod, &PatchParams::default(), &annotation).await.ok();
        assert!(plugin.add(&nobody).await.is_err());
    }
    let loops = "i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done";
    tokio::process::Command::new("sh").args(["-c", loops]).status().await.unwrap();
}

async fn disturbed_matrix(row: &str, test: &str, interpose: Interpose) -> Trial {
    let (row, matrix) = disturbed_row(row, test).unwrap();
    judged(row, async |trial| drive(trial, &matrix, Some(interpose)).await).await.unwrap()
}

fn all_missed(record: &Trial, metrics: &[&str]) {
    for metric in metrics {
        let budget = record.budgets.iter().find(|budget| budget.metric == *metric).unwrap();
        assert_eq!(budget.verdict, Verdict::Fail, "{metric}: {} {:?}", record.reason, record.notes);
    }
}

/// Three seconds a request are a second too many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_time_is_missed_when_the_plugin_is_slow() {
    let slow = Meddled::before(|_, _| tokio::time::sleep(Duration::from_secs(3)));
    let record = disturbed_matrix("times_disturbed", "Slow", slow).await;
    all_missed(&record, &["create_s", "rebuild_s", "recover_s", "delete_s"]);
}

/// Somebody asks for one pod more when the last address is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_pod_that_waits_for_the_last_address_is_told() {
    let (row, mut matrix) = disturbed_row("spiderpool_exhausted", "OneMore").unwrap();
    matrix.stalled_after_s = 10;
    let client = connect(&fixture(DISTURBED_FIXTURE).unwrap().0).await.unwrap();
    let one_more = Meddled::before(move |_, sandbox| one_more(client.clone(), sandbox));
    let record = judged(row, async |trial| exhaustion::drive(trial, &matrix, Some(one_more)).await).await.unwrap();
    all_missed(&record, &["pods_waiting_when_exhausted"]);
}

async fn one_more(client: Client, sandbox: Sandbox) {
    if !sandbox.pod.starts_with("late-") {
        return;
    }
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &sandbox.namespace);
    let two = Patch::Merge(json!({"spec": {"replicas": 2}}));
    // In the end it may be gone.
    deployments.patch("late", &PatchParams::default(), &two).await.ok();
    tokio::time::sleep(Duration::from_secs(4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_dies_is_told() {
    let (descriptor, fixtures) = fixture(DISTURBED_FIXTURE).unwrap();
    let faults = Faults::of(&fixtures, &descriptor.name);
    let (once, at_request) = (AtomicBool::new(false), faults.clone());
    let fatal = Meddled::before(move |_, _| {
        // These rows bring kubelets of their own: nobody waits for kwok.
        if !once.swap(true, Ordering::SeqCst) {
            at_request.kill("kwok-controller").unwrap();
        }
        std::future::ready(())
    });
    let (row, matrix) = disturbed_row("checks_disturbed", "Fatal").unwrap();
    let record = judged(row, async |trial| drive(trial, &matrix, Some(fatal)).await).await;
    // Whatever became of the row, the next one needs it.
    faults.revive(&|_| ()).unwrap();
    all_missed(&record.unwrap(), &["component_deaths"]);
}

/// Deployments that ask for other pools than the check wants: of one family only, one address too large, and kept for good.
fn demanding() -> Interpose {
    let wanted = [("subnet", r#"{"ipv4":["v4"]}"#), ("ippool-ip-number", "+1"), ("ippool-reclaim", "false")];
    let wanted = wanted.map(|(key, value)| (format!("ipam.spidernet.io/{key}"), value.to_owned()));
    Box::new(|plugin| {
        let before: Before = Box::new(|_, _| Box::pin(std::future::ready(())));
        Arc::new(Meddled { plugin, before, annotations: Some(wanted.into()) })
    })
}

#[rstest]
#[case::as_they_should(None, Verdict::Pass)]
#[case::otherwise(Some(demanding()), Verdict::Fail)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pools_that_do_not_follow_their_deployments_are_found(
    #[case] interpose: Option<Interpose>,
    #[case] verdict: Verdict,
) {
    let name = if interpose.is_some() { "Demanding" } else { "SubnetsAsTheyShould" };
    let (row, matrix) = disturbed_row("subnet_disturbed", name).unwrap();
    let record = judged(row, async |trial| drive(trial, &matrix, interpose).await).await.unwrap();
    for metric in ["automatic_pools_missing", "automatic_pools_of_wrong_size", "automatic_pools_left"] {
        let budget = record.budgets.iter().find(|budget| budget.metric == metric).unwrap();
        assert_eq!(budget.verdict, verdict, "{}: {:?}", record.reason, record.notes);
    }
}

/// The ratio to the floor is missed when the subject wastes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ratio_to_the_floor_is_missed_when_the_plugin_wastes() {
    let (row, ratio) = disturbed_ratio_row("ratio_disturbed", "WastefulRatio").unwrap();
    let client = connect(&fixture(DISTURBED_FIXTURE).unwrap().0).await.unwrap();
    let arms = ratio.arms();
    let run = compared(row, &arms, async |trial, arm| {
        let interpose = (arm == "spiderpool").then(|| wasteful(client.clone()));
        tier::drive(trial, &ratio.tier(arm), interpose).await
    });
    let record = run.await.unwrap();
    all_missed(&record, &["spiderpool_to_host_local_add_p50_ms"]);
}
