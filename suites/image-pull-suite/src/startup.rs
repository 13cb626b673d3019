//! Pod startup as ClusterLoader2 takes it: five transitions, from the objects' own stamps and the moment of the watch.
//!
//! Objects' stamps have a resolution of a second, so that a transition between two of them cross-checks; what is measured
//! stands in the phases of the record, where every stamp is of the watch.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The transitions, by ClusterLoader2's names.
pub const TRANSITIONS: [&str; 5] =
    ["create_to_schedule", "schedule_to_run", "run_to_watch", "schedule_to_watch", "pod_startup"];

/// When a pod was created, scheduled, run by its kubelet and seen to run, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Startup {
    /// Its `creationTimestamp`.
    pub created_us: u64,
    /// When its condition `PodScheduled` came true.
    pub scheduled_us: u64,
    /// When the last of its containers was started.
    pub ran_us: u64,
    /// When the watch showed it `Running`.
    pub watched_us: u64,
}

impl Startup {
    /// Its transitions, in the order of [`TRANSITIONS`]. A negative one is 0, as there.
    pub fn transitions(&self) -> [Duration; 5] {
        let pairs = [
            (self.created_us, self.scheduled_us),
            (self.scheduled_us, self.ran_us),
            (self.ran_us, self.watched_us),
            (self.scheduled_us, self.watched_us),
            (self.created_us, self.watched_us),
        ];
        pairs.map(|(from, to)| Duration::from_micros(to.saturating_sub(from)))
    }
}

/// The startups of the pods that `watched` has a moment of, by name. Pods without a stamp are left out.
pub(crate) fn startups(pods: &[Pod], watched: &BTreeMap<String, u64>) -> BTreeMap<String, Startup> {
    let startup = |pod: &Pod| {
        let name = pod.metadata.name.clone()?;
        let watched_us = *watched.get(&name)?;
        startup(pod, watched_us).map(|startup| (name, startup))
    };
    pods.iter().filter_map(startup).collect()
}

fn startup(pod: &Pod, watched_us: u64) -> Option<Startup> {
    let status = pod.status.as_ref()?;
    let conditions = status.conditions.iter().flatten();
    let scheduled = conditions.into_iter().find(|condition| condition.type_ == "PodScheduled")?;
    let containers = status.container_statuses.iter().flatten();
    let ran = containers.filter_map(|container| container.state.as_ref()?.running.as_ref()?.started_at.as_ref());
    Some(Startup {
        created_us: micros(pod.metadata.creation_timestamp.as_ref()?)?,
        scheduled_us: micros(scheduled.last_transition_time.as_ref()?)?,
        ran_us: ran.filter_map(micros).max()?,
        watched_us,
    })
}

fn micros(time: &Time) -> Option<u64> {
    u64::try_from(time.0.as_microsecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transitions_are_clusterloader2s_and_never_negative() {
        let startup =
            Startup { created_us: 1_000_000, scheduled_us: 1_000_000, ran_us: 4_000_000, watched_us: 3_900_000 };
        let [create_to_schedule, schedule_to_run, run_to_watch, schedule_to_watch, pod_startup] = startup.transitions();
        assert_eq!(create_to_schedule, Duration::ZERO);
        assert_eq!(schedule_to_run, Duration::from_secs(3));
        assert_eq!(run_to_watch, Duration::ZERO, "a container's start is rounded, and may be after what was seen");
        assert_eq!((schedule_to_watch, pod_startup), (Duration::from_millis(2_900), Duration::from_millis(2_900)));
    }
}
