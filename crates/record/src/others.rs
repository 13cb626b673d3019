//! Programs that have nothing to do with a trial, and took the machine's CPU from it.

use crate::schema::Trial;
use crate::text::percent;

/// From this share of a core, or of all cores, a component or the machine had nothing left.
pub(crate) const SATURATED: f64 = 0.85;
/// Whoever has less than this share of a busy machine shares it with others. Programs that nobody samples (the kernel's own
/// work, kwokctl) have a few percent of any machine.
const OURS: f64 = 0.7;

/// That other programs had the CPU of a machine of `cpus`, and how much of it: the busiest component is no cause then.
pub fn other_programs(trial: &Trial, cpus: usize) -> Option<String> {
    let busy = trial.machine.busy_share;
    let complete = || trial.phases.iter().filter(|phase| phase.verdict.is_none());
    let took_s: f64 = complete().map(|phase| phase.took_s).sum();
    let used_s: f64 = complete().flat_map(|phase| phase.components.values()).map(|used| used.cpu_s).sum();
    let share = (used_s + trial.harness.cpu_s) / (took_s * cpus as f64);
    (busy >= SATURATED && share < OURS * busy).then(|| {
        format!(
            "the machine was {} busy, and the components and the harness had {} of it: other programs had the rest, and \
             slowed them",
            percent(busy),
            percent(share)
        )
    })
}
