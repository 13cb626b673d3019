//! Each check of addresses can fail: a plugin that misbehaves is put between the kubelets and a real one, and the verdict
//! says what it did.
//!
//! These rows run on a cluster of their own. Their records lie in `disturbed/` of the run, apart from its results.

mod nightly;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use cluster::{Component, Faults};
use futures_util::future::BoxFuture;
use harness::{Error, fixture, judged};
use measure::Verdict;
use record::Trial;
use rstest::rstest;
use spiderpool_suite::automatic::AutomaticPool;
use spiderpool_suite::matrix::drive;
use spiderpool_suite::plugin::{Failure, Plugin, Records, Sandbox};
use spiderpool_suite::pool::Family;
use spiderpool_suite::{DISTURBED_FIXTURE, Interpose, disturbed_row};

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
