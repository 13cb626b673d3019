//! What a phase cost the plugin: CPU of its long-lived processes and of those that ran for one request each, and how its
//! requests went.

use cluster::{Component, Process};
use harness::{Trial, ended_children_cpu_s};
use record::PhaseRecord;

use crate::kubelet::{Attempt, Kubelets, Operation, errors, summary};
use crate::plugin::{Figures, Plugin};

/// Kinds of errors that a record names.
const NAMED: usize = 5;

/// Whose CPU is told apart: the name in a metric, and what the components' names begin with.
const PARTS: [(&str, &str); 4] = [
    ("agents", "spiderpool-agent"),
    ("controller", "spiderpool-controller"),
    ("apiserver", "kube-apiserver"),
    ("etcd", "etcd"),
];

/// Whose CPU makes what a pod costs.
const LIFE: [&str; 3] = ["plugin", "apiserver", "etcd"];

/// What was counted when a phase began.
#[derive(Clone, Debug)]
pub struct Edge {
    attempts: usize,
    processes: Vec<(Process, f64)>,
    children_cpu_s: f64,
    figures: Figures,
}

impl Edge {
    /// Counts now.
    pub async fn now(plugin: &dyn Plugin, kubelets: &Kubelets) -> Self {
        Self {
            figures: plugin.figures().await,
            attempts: kubelets.log().len(),
            processes: plugin.processes().iter().filter_map(cpu).collect(),
            children_cpu_s: ended_children_cpu_s(),
        }
    }

    /// Writes what came since into the record, as figures of `phase` with its `objects`.
    pub async fn record(&self, trial: &mut Trial, phase: &str, objects: u32, plugin: &dyn Plugin, kubelets: &Kubelets) {
        let now = Self::now(plugin, kubelets).await;
        let attempts: Vec<Attempt> = kubelets.log().since(self.attempts).to_vec();
        let yardstick = trial.phases().last().and_then(|phase| phase.yardstick_ms).filter(|ms| *ms > 0.0);
        let components = components(trial.phases().last());
        let mut put = |what: &str, value: f64| trial.metric(&format!("{phase}_{what}"), value);
        for (name, operation) in [("add", Operation::Add), ("del", Operation::Del)] {
            let (took, failed) = summary(&attempts, operation);
            put(&format!("{name}s"), took.n as f64);
            put(&format!("failed_{name}s"), failed as f64);
            let quantiles = [("p50", took.p50_ms), ("p90", took.p90_ms), ("p99", took.p99_ms), ("max", took.max_ms)];
            for (quantile, value) in quantiles {
                if let Some(value) = value {
                    put(&format!("{name}_{quantile}_ms"), value);
                }
            }
        }
        // A process that was started meanwhile has spent everything since.
        let was = |process| self.processes.iter().find(|(known, _)| known == process).map_or(0.0, |(_, cpu)| *cpu);
        let processes: f64 = now.processes.iter().map(|(process, cpu)| cpu - was(process)).sum();
        let plugin_cpu_s = processes + now.children_cpu_s - self.children_cpu_s;
        let objects = f64::from(objects.max(1));
        let plugin = [("plugin", plugin_cpu_s)];
        for (who, cpu_s) in plugin.into_iter().chain(components) {
            let cpu_ms = cpu_s * 1e3 / objects;
            put(&format!("{who}_cpu_ms_per_object"), cpu_ms);
            // CPU time of the same work varies on a shared machine: the yardstick ran beside it.
            if let Some(yardstick) = yardstick {
                put(&format!("{who}_yardsticks_per_object"), cpu_ms / yardstick);
            }
        }
        for (counter, value) in &now.figures.counters {
            // Counters of agents that were started again begin at zero.
            let before = self.figures.counters.get(counter).copied().filter(|before| before <= value).unwrap_or(0.0);
            put(counter, value - before);
        }
        for (gauge, value) in &now.figures.gauges {
            put(gauge, *value);
        }
        for (error, count) in errors(&attempts, NAMED) {
            trial.note(format!("{phase}: {count} x {error}"));
        }
    }
}

/// Writes what a pod cost through all phases, in yardsticks: CPU of the plugin, the apiserver and etcd. The parts of one
/// phase vary by more than a gate could stand, those of a phase of three seconds by twice. Nothing is written when a part
/// is missing.
pub fn life(trial: &mut Trial) {
    let phases: Vec<String> = trial.phases().iter().map(|phase| phase.name.clone()).collect();
    let parts = phases.iter().flat_map(|phase| LIFE.map(|who| format!("{phase}_{who}_yardsticks_per_object")));
    let sum: Option<f64> = parts.map(|part| trial.figure(&part)).sum();
    if let Some(sum) = sum {
        trial.metric("life_yardsticks_per_object", sum);
    }
}

/// CPU seconds of a phase by who spent them; without those of whom no component is known.
fn components(phase: Option<&PhaseRecord>) -> Vec<(&'static str, f64)> {
    let used = |prefix: &str| {
        let of = phase.into_iter().flat_map(|phase| &phase.components).filter(|(name, _)| name.starts_with(prefix));
        of.map(|(_, used)| used.cpu_s).reduce(|a, b| a + b)
    };
    PARTS.iter().filter_map(|(part, prefix)| Some((*part, used(prefix)?))).collect()
}

fn cpu(component: &Component) -> Option<(Process, f64)> {
    Some((component.process, component.process.usage()?.cpu_s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::ComponentUse;

    #[test]
    fn the_agents_of_all_machines_are_one_and_who_is_not_there_is_left_out() {
        let used = |name: &str, cpu_s| (name.to_owned(), ComponentUse { cpu_s, rss_bytes: 0 });
        let components =
            [used("spiderpool-agent-0", 1.0), used("spiderpool-agent-1", 2.0), used("kube-apiserver", 4.0)].into();
        let phase = PhaseRecord { components, ..PhaseRecord::default() };
        assert_eq!(super::components(Some(&phase)), [("agents", 3.0), ("apiserver", 4.0)]);
        assert_eq!(super::components(None), []);
    }
}
