//! For tests: the means by which rows on a kind cluster are disturbed. Whatever cannot be done panics, which is how a test that
//! cannot go on fails.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use cluster::{Faults, KindNode, Process};
use harness::{Injection, fixture};
use measure::Verdict;
use record::Trial;
use rustix::process::Signal;

/// Variable with the descriptor of the kind cluster that rows share.
const FIXTURE: &str = "KUBEDYNO_FIXTURE_KIND";

/// Whether a budget of this metric was missed.
pub fn missed(record: &Trial, metric: &str) -> bool {
    record.budgets.iter().any(|budget| budget.metric == metric && budget.verdict == Verdict::Fail)
}

/// What can be done to the cluster's components.
pub fn faults() -> Faults {
    let (descriptor, fixtures) = fixture(FIXTURE).unwrap();
    Faults::of(&fixtures, &descriptor.name)
}

/// The nodes, the control plane apart from the workers.
pub fn nodes(control_plane: bool) -> Vec<KindNode> {
    let (descriptor, fixtures) = fixture(FIXTURE).unwrap();
    let mut nodes = KindNode::all(&fixtures.directory(&descriptor.name)).unwrap();
    nodes.retain(|node| node.control_plane == control_plane);
    nodes
}

/// What somebody who administers the cluster does, and what kubectl prints then.
///
/// # Errors
/// What kubectl says.
pub fn kubectl(args: &[&str]) -> Result<String, String> {
    let admin = ["kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"];
    nodes(true)[0].run(&[&admin[..], args].concat()).map_err(|error| error.to_string())
}

/// Takes every image of the registry off the workers, as somebody does who needs the room.
///
/// # Errors
/// When a node does not run.
pub fn prune() -> Result<(), String> {
    nodes(false).iter().try_for_each(origin::forget).map_err(|error| error.to_string())
}

/// What happens when a phase has come so far.
pub fn when(
    phase: &'static str,
    share: f64,
    what: &str,
    act: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Injection {
    Injection { phase, share, what: what.to_owned(), act: Box::new(act) }
}

/// Something that is done again and again until this is dropped.
#[derive(Debug)]
pub struct Again {
    goes_on: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Again {
    /// Does it every 300 ms, from now on.
    pub fn of(act: impl Fn() + Send + 'static) -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        let look = Arc::clone(&goes_on);
        let thread = spawn(move || {
            while look.load(Ordering::Relaxed) {
                act();
                sleep(Duration::from_millis(300));
            }
        });
        Self { goes_on, thread: Some(thread) }
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        self.goes_on.store(false, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

/// The kubelets of both workers; when this is dropped, they go on.
#[derive(Debug)]
pub struct Kubelets(Vec<Process>);

impl Kubelets {
    /// Of the cluster's two workers.
    pub fn of_workers() -> Self {
        let (descriptor, _) = fixture(FIXTURE).unwrap();
        let process = |name: &str| descriptor.require(name).unwrap().process;
        Self(vec![process("worker/kubelet"), process("worker2/kubelet")])
    }

    /// Stops them where they stand.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    fn signal(&self, signal: Signal) {
        for kubelet in &self.0 {
            kubelet.signal(signal);
        }
    }
}

impl Drop for Kubelets {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
    }
}
