//! One trial: from a descriptor to a verdict.

mod system;

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cluster::{Descriptor, Fixtures, Lease, Mode, Needs, OWNER_LABEL, RUN_LABEL, TEST_LABEL};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};
use measure::{Budgets, End, Progress, Verdict};
use record::{ArmRun, Document, Published, RunDir};

use crate::clients::{counting_client, etcd};
use crate::context::{Context, fixture};
use crate::error::{Error, Result};
use crate::inject::{Injection, Injections};
use crate::judge;
use crate::namespace;
use crate::observe::Observer;
use crate::opening::{opening_record, unsupported, write_opening};
use crate::phase::{self, Account, After, Before, PhaseSpec};
use crate::profile::Profiles;
use crate::proof;
use crate::scrape::Counters;
use crate::series;
use crate::signals::Signals;
use crate::supervise::Supervisor;
use crate::watch::{Sink, Watch, WatchSpec};

/// How often a phase looks at its count. How long it took comes from the stamps, not from the look.
const LOOK: Duration = Duration::from_millis(50);
/// How long a list may take to come when a phase looks stalled.
const LIST_PATIENCE: Duration = Duration::from_secs(5);

/// A row of a suite: everything about it that is known before it runs.
#[derive(Clone, Debug)]
pub struct Row {
    /// The suite's package.
    pub suite: &'static str,
    /// The row's name.
    pub test: String,
    /// Variable with the path of the fixture's descriptor.
    pub fixture: &'static str,
    /// The document that publishes the claims.
    pub document: Document,
    /// What it needs of a cluster of others; `None` when it may only run on one that this project made.
    pub needs: Option<Needs>,
    /// What it needs that is nowhere to be had: such a row ends as `unsupported`, and creates nothing.
    pub lacks: Option<String>,
    /// Stated differences between the document's set-up and this one.
    pub deviations: Vec<String>,
    /// Those that come from how this project makes its own clusters.
    pub deviations_of_our_clusters: Vec<String>,
    /// Figures of others to show beside ours.
    pub published: Vec<Published>,
    /// A directory of the run for records that are no results of it: those of rows that disturb what they measure.
    pub aside: Option<String>,
    /// Another way to the apiserver than the descriptor's, for rows that disturb it.
    pub kubeconfig: Option<PathBuf>,
    /// The run of its arms that this is, for rows that have arms.
    pub arm: Option<ArmRun>,
    /// Whether it is of a comparator, whose stall is a result and no error.
    pub comparator: bool,
    /// The suite's budgets.
    pub budgets: Budgets,
    /// The row's parameters, overrides included.
    pub parameters: toml::Table,
    /// The overridden ones.
    pub overridden: toml::Table,
}

/// A running trial, as its driver sees it.
pub struct Trial {
    descriptor: Descriptor,
    client: Client,
    etcd: Option<Client>,
    clock: Instant,
    namespace: String,
    run_id: String,
    owner: String,
    run_dir: RunDir,
    record: record::Trial,
    observer: Observer,
    accounts: Vec<(&'static str, Account)>,
    watches: Vec<(String, Watch)>,
    current: Option<(PhaseSpec, Before, Progress)>,
    progress: Arc<Mutex<String>>,
    requests: Arc<AtomicU64>,
    injections: Injections,
    fixtures: Fixtures,
    profiles: Option<Profiles>,
    supervisor: Option<Arc<Supervisor>>,
}

impl std::fmt::Debug for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trial({} in {} of {})", self.record.test, self.namespace, self.descriptor.name)
    }
}

/// Runs a row: adopts its cluster, lets `driver` run its phases, judges, writes the record, and cleans up.
///
/// # Panics
/// Unless the verdict is `pass`, or a comparator's stall, with the sentence that explains it: that is how a test fails.
pub async fn run(row: Row, driver: impl AsyncFnOnce(&mut Trial) -> Result<()>) -> record::Trial {
    let name = format!("{} {}", row.suite, row.test);
    match judged(row, driver).await {
        Ok(record) => {
            let verdict = record.verdict.map_or("no verdict", Verdict::as_str);
            assert!(record.ended_well(), "{name}: {verdict}: {}", record.reason);
            say(&format!("{name}: {verdict}: {}", record.reason));
            record
        }
        Err(error) => panic!("{name}: could not run: {error}"),
    }
}

/// Runs a row to its record, whatever the verdict: for rows that show that a budget can be missed.
///
/// # Errors
/// When there is no fixture, or results cannot be written.
pub async fn judged(row: Row, driver: impl AsyncFnOnce(&mut Trial) -> Result<()>) -> Result<record::Trial> {
    let mut signals = Signals::listen()?;
    let mut context = Context::from_env()?;
    if let Some(arm) = &row.arm {
        // A run of its own, so that what the run before left is swept before this one begins.
        context.run_id = format!("{}-{}", context.run_id, arm.position);
        context.arm = Some(arm.clone());
    }
    let (descriptor, fixtures) = fixture(row.fixture)?;
    if let Some(lacks) = &row.lacks {
        return unsupported(&row, &context, &descriptor, lacks);
    }
    let what = format!("{} {}", row.suite, row.test);
    let locks = fixtures.locks();
    let mut told = String::new();
    let _lease = loop {
        match Lease::try_take(&locks, &descriptor.name, Mode::Exclusive, &what, Some(&context.run_id))? {
            Ok(lease) => break lease,
            Err(holder) if holder != told => {
                tell(&row, &context, &format!("waiting for `{}`: in use by {holder}", descriptor.name));
                told = holder;
            }
            Err(_) => tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
                cause = signals.next() => return Err(Error::Environment(cause)),
            },
        }
    };
    // Whoever held the lease before may have repaired or replaced the cluster.
    let (descriptor, _) = fixture(row.fixture)?;
    if let Some(error) = cluster::Health::of(&descriptor).await.error(&descriptor) {
        return Err(error.into());
    }
    if descriptor.is_existing() {
        if let Some(lacks) = Needs::lacks(row.needs.as_ref(), &descriptor.capabilities) {
            return unsupported(&row, &context, &descriptor, &lacks);
        }
        // `cargo xtask run` refuses before anything starts; this is for whoever starts nextest by hand.
        let wants = row.needs.map(|needs| needs.wants_leave(context.leave)).unwrap_or_default();
        if !wants.is_empty() {
            return Err(Error::Environment(format!(
                "{what} must not run on {}: {}",
                descriptor.apiserver,
                wants.join("; ")
            )));
        }
    }
    let budgets = row.budgets.clone();
    let mut trial = Trial::begin(row, context, descriptor, fixtures).await?;
    let outcome = tokio::select! {
        outcome = driver(&mut trial) => outcome,
        cause = signals.next() => Err(Error::Phase { phase: String::new(), end: cause, verdict: Verdict::Invalid }),
    };
    trial.finish(outcome, &budgets).await
}

impl Trial {
    async fn begin(row: Row, context: Context, descriptor: Descriptor, fixtures: Fixtures) -> Result<Self> {
        let requests = Arc::new(AtomicU64::new(0));
        let other_way = row.kubeconfig.as_ref().or(context.kubeconfig.as_ref());
        let kubeconfig = other_way.unwrap_or(&descriptor.kubeconfig);
        let client = counting_client(kubeconfig, Arc::clone(&requests)).await?;
        // The state that a trial starts from is proven, not hoped for: the cluster works, and what dead trials left is gone
        // before it begins.
        proof::renew(&fixtures, &descriptor, &client, &context.run_id).await?;
        let ours = !descriptor.is_existing();
        fixtures.sweep(&client, Some(&context.run_id), ours, &|line| tell(&row, &context, line)).await?;
        let record = opening_record(&row, &context, &descriptor);
        let run_dir = write_opening(&row, &context, &record)?;
        let progress = Arc::new(Mutex::new(String::from("starting")));
        let clock = Instant::now();
        let observer = Observer::start(&descriptor.components, clock, {
            let (run_dir, progress) = (run_dir.clone(), Arc::clone(&progress));
            let (suite, test) = (row.suite, row.test.clone());
            move |at| {
                let text = progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
                run_dir.show_progress(suite, &test, &format!("{text} +{:.0}s", at.as_secs_f64()));
            }
        });
        let profiles = context.profile_of.clone().map(Profiles::of);
        let namespace = namespace::name(&row.test, &context.run_id, std::process::id());
        let mut trial = Self {
            etcd: etcd(&descriptor),
            descriptor,
            client,
            clock,
            namespace,
            run_id: context.run_id,
            owner: fixtures.owner()?,
            run_dir,
            record,
            observer,
            accounts: Vec::new(),
            watches: Vec::new(),
            current: None,
            progress,
            requests,
            injections: Injections::default(),
            fixtures,
            profiles,
            supervisor: None,
        };
        let made = namespace::make(&trial.client, &trial.namespace, trial.cluster_labels()).await;
        let begun = match made {
            Ok(()) => trial.note_other_nodes().await,
            refused => refused,
        };
        if let Err(error) = begun {
            trial.record.reason = format!("could not begin: {error}");
            trial.run_dir.write_trial(&trial.record)?;
            return Err(error);
        }
        Ok(trial)
    }

    /// A client that never retries and counts its requests.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The trial's own namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The run's id.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The labels that everything which the trial makes must carry.
    pub fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(RUN_LABEL.to_owned(), self.run_id.clone()), (TEST_LABEL.to_owned(), self.record.test.clone())])
    }

    /// The labels of namespaces and nodes: with the owner, by which they are swept when their run is dead.
    pub fn cluster_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels();
        labels.insert(OWNER_LABEL.to_owned(), self.owner.clone());
        labels
    }

    /// The start of the trial, from which every stamp is an offset.
    pub fn clock(&self) -> Instant {
        self.clock
    }

    /// Adds a figure of the driver's own to the record; its unit is in its name. What is no finite number was not
    /// measured, and is left out.
    pub fn metric(&mut self, name: &str, value: f64) {
        if value.is_finite() {
            self.record.metrics.insert(name.to_owned(), value);
        }
    }

    /// Plans a fault.
    pub fn inject(&mut self, injection: Injection) {
        self.injections.add(injection);
    }

    /// Opens an account and the watch that stamps it.
    ///
    /// # Errors
    /// When the collection cannot be listed.
    pub async fn watch(
        &mut self,
        name: &'static str,
        account: &Account,
        spec: WatchSpec,
        sink: impl Sink,
    ) -> Result<()> {
        let watch = Watch::start(&self.client, self.etcd.as_ref(), self.clock, spec, sink).await?;
        self.accounts.push((name, account.clone()));
        self.watches.push((name.to_owned(), watch));
        Ok(())
    }

    /// Runs a phase: `action` starts what the phase is about, and the phase is over when its objects are where they
    /// should be, when nothing moves any more, or when its time is over.
    ///
    /// # Errors
    /// When the action is refused, or the phase does not complete; either way its record is written first.
    pub async fn phase(&mut self, spec: PhaseSpec, action: impl Future<Output = Result<()>>) -> Result<()> {
        if let Some(profiles) = &mut self.profiles {
            profiles.begin(&self.descriptor);
        }
        let before = self.before().await;
        let progress = Progress::start(spec.rule, spec.count().1, before.at);
        self.current = Some((spec.clone(), before, progress));
        let mut action = std::pin::pin!(action);
        let (mut acting, mut listed) = (true, false);
        let end = loop {
            tokio::select! {
                acted = &mut action, if acting => {
                    acting = false;
                    if let Err(error) = acted {
                        let now = self.clock.elapsed();
                        if let Some((_, _, progress)) = &self.current {
                            let end = progress.interrupt(&error.to_string(), error.verdict(), now);
                            self.end_phase(&end).await?;
                        }
                        return Err(error);
                    }
                }
                () = tokio::time::sleep(LOOK) => {}
            }
            match self.look(&spec) {
                Some(End::Complete { .. }) if acting => {}
                Some(End::Complete { took }) => break End::Complete { took },
                Some(_) if !listed => {
                    // Before a phase is given up, a list tells what is missing from what was merely not seen.
                    listed = true;
                    self.watches.iter().for_each(|(_, watch)| watch.ask_list());
                    let asked = self.clock.elapsed();
                    while spec.count().0 < spec.count().1 && self.clock.elapsed() < asked + LIST_PATIENCE {
                        tokio::time::sleep(LOOK).await;
                    }
                }
                Some(end) => break end,
                None => {}
            }
        };
        self.end_phase(&end).await?;
        match end.verdict() {
            None => Ok(()),
            Some(verdict) => Err(Error::Phase { phase: spec.name.to_owned(), end: end.to_string(), verdict }),
        }
    }

    /// Takes the count of the running phase; says how it ended, if it did.
    fn look(&mut self, spec: &PhaseSpec) -> Option<End> {
        let now = self.clock.elapsed();
        let (done, total) = spec.count();
        let (_, _, progress) = self.current.as_mut()?;
        let end = progress.update(done, total, now);
        self.injections.look(spec.name, done, total, now);
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = format!("{} {done}/{total}", spec.name);
        end
    }

    async fn before(&mut self) -> Before {
        self.injections.settle().await;
        // A component that was started again is another process from now on.
        if let Ok(descriptor) = self.fixtures.descriptor(&self.descriptor.name) {
            self.observer.follow(&descriptor.components);
        }
        let counters = Counters::read(&self.client, &self.descriptor).await;
        Before { usage: self.observer.usage(), counters, at: self.clock.elapsed() }
    }

    async fn end_phase(&mut self, end: &End) -> Result<()> {
        let usage = self.observer.usage();
        let counters = Counters::read(&self.client, &self.descriptor).await;
        let Some((spec, before, _)) = self.current.take() else { return Ok(()) };
        let yardstick = self.observer.yardstick(before.at, self.clock.elapsed());
        let after = After { usage, counters, yardstick, faults: self.injections.of_phase() };
        let phase = phase::record(&spec, end, &before, &after);
        say(&format!("{}: {}", phase.name, phase.end));
        let curve = series::curve(&spec.account.ledger().curve(&spec.cohorts, spec.to), before.at);
        self.series(&format!("{}.progress", spec.name), &curve)?;
        self.record.reason = format!("last phase: {}: {}", phase.name, phase.end);
        self.record.phases.push(phase);
        self.update_use();
        self.run_dir.write_trial(&self.record)?;
        Ok(())
    }

    fn series(&mut self, name: &str, csv: &str) -> Result<()> {
        self.keep_file("series", &format!("{name}.csv"), csv.as_bytes())
    }

    /// Writes a file of the row into a folder of the run, and lists it in the record.
    fn keep_file(&mut self, folder: &str, name: &str, bytes: &[u8]) -> Result<()> {
        let file = format!("{folder}/{}.{}.{name}", self.record.suite, self.record.test);
        self.record.files.push(self.run_dir.write_file(&file, bytes)?);
        Ok(())
    }

    fn update_use(&mut self) {
        self.record.machine = self.observer.machine();
        self.record.wall_s = self.clock.elapsed().as_secs_f64();
        self.record.component_deaths = self.observer.deaths();
        self.record.watches = self.watches.iter().map(|(name, watch)| (name.clone(), watch.record())).collect();
        let (bytes, objects) = self.accounts.iter().fold((0, 0), |(bytes, objects), (_, account)| {
            let ledger = account.ledger();
            (bytes + ledger.heap_bytes(), objects + ledger.len())
        });
        self.record.harness = record::HarnessUse {
            requests: self.requests.load(Ordering::Relaxed),
            watch_bytes: self.record.watches.values().map(|watch| watch.bytes).sum(),
            ledger_bytes_per_object: if objects == 0 { 0.0 } else { bytes as f64 / objects as f64 },
            ..self.observer.harness()
        };
    }

    async fn finish(mut self, outcome: Result<()>, budgets: &Budgets) -> Result<record::Trial> {
        if let Err(error) = &outcome {
            // Whoever interrupts may have little patience: what ended it is on disk before anything else is asked or written.
            self.record.reason = error.sentence();
            self.run_dir.write_trial(&self.record)?;
        }
        if let (Some((_, _, progress)), Err(Error::Phase { end, verdict, .. })) = (&self.current, &outcome) {
            let end = progress.interrupt(end, *verdict, self.clock.elapsed());
            self.end_phase(&end).await?;
        }
        self.record.notes.extend(self.injections.finish().await);
        self.keep_profiles().await?;
        self.update_use();
        let accounts = std::mem::take(&mut self.accounts);
        for (name, account) in &accounts {
            let csv = series::ledger(&account.ledger());
            self.series(&format!("{name}.ledger"), &csv)?;
        }
        let csv = series::components(&self.observer);
        self.series("components", &csv)?;
        judge::judge(&mut self.record, outcome.err().as_ref(), budgets);
        self.run_dir.write_trial(&self.record)?;
        self.watches.clear();
        self.clean_up().await;
        Ok(self.record)
    }

    /// Keeps the profiles that were taken, and says why there are no more.
    async fn keep_profiles(&mut self) -> Result<()> {
        let Some(profiles) = self.profiles.take() else { return Ok(()) };
        let component = profiles.component.clone();
        let (taken, ended) = profiles.finish().await;
        for (n, profile) in taken.iter().enumerate() {
            self.keep_file("profiles", &format!("{component}.{n}.pb.gz"), profile)?;
        }
        if let Some(why) = ended {
            let of = if taken.is_empty() { "no CPU profile" } else { "no more CPU profiles" };
            self.record.notes.push(format!("{of} of {component}: {why}"));
        }
        Ok(())
    }

    /// Asks for the removal of everything that the trial made, and does not wait: the next trial's sweep does.
    async fn clean_up(&self) {
        let labelled = ListParams::default().labels(&format!("{RUN_LABEL}={}", self.run_id));
        let nodes: Api<Node> = Api::all(self.client.clone());
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let asked = async {
            nodes.delete_collection(&DeleteParams::background(), &labelled).await.ok();
            namespaces.delete(&self.namespace, &DeleteParams::background()).await.ok();
        };
        tokio::time::timeout(Duration::from_secs(2), asked).await.ok();
    }

    /// Nodes that are not the row's own cost the control plane as well: that is a deviation.
    async fn note_other_nodes(&mut self) -> Result<()> {
        // The nodes of a kind cluster are what its rows run on.
        if self.descriptor.provider == "kind" {
            return Ok(());
        }
        let nodes: Api<Node> = Api::all(self.client.clone());
        let nodes = nodes.list_metadata(&ListParams::default()).await.map_err(Error::api("cannot list nodes"))?;
        if !nodes.items.is_empty() {
            let deviation = format!("The cluster has {} nodes beside those of the row.", nodes.items.len());
            self.record.deviations.push(deviation);
        }
        Ok(())
    }
}

/// Says what a row waits for before it begins. What a test says is kept by nextest until it ends; progress is shown at once.
fn tell(row: &Row, context: &Context, line: &str) {
    say(line);
    RunDir::at(&context.results).show_progress(row.suite, &row.test, line);
}

/// A line on stderr, which nextest keeps with the test.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}
