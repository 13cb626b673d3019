//! The speed of this machine now: the CPU time of a fixed piece of work, done every second while a trial runs.
//!
//! The work is of the kind that an apiserver does most: it parses the JSON of a list of pods. It is done beside the
//! system under test and not before it, because two threads of one core, or a neighbour on the same host, slow both
//! alike: on a shared 2-core machine the CPU time of one pod was seen to vary by 1.6 while a yardstick taken before and
//! after varied by 1.1. A subject that becomes slower does not make the yardstick longer.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Pods in the list: about 2 ms of work.
const PODS: usize = 300;

/// The piece of work.
#[derive(Debug)]
pub(crate) struct Yardstick {
    text: String,
}

impl Yardstick {
    pub(crate) fn new() -> Self {
        Self { text: list_of_pods() }
    }

    /// Does the work once; returns its CPU time on this thread.
    pub(crate) fn measure(&self) -> Duration {
        let before = thread_cpu();
        let value: Result<serde_json::Value, _> = serde_json::from_str(std::hint::black_box(&self.text));
        std::hint::black_box(&value).as_ref().ok();
        thread_cpu().saturating_sub(before)
    }
}

fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn list_of_pods() -> String {
    let pod = |i: usize| {
        format!(
            r#"{{"metadata":{{"name":"deployment-6d8f9c7b5f-{i:05}","namespace":"default","uid":"0b5fcaf6-{i:08}","labels":{{"app":"web","pod-template-hash":"6d8f9c7b5f"}}}},"spec":{{"nodeName":"node-{i:05}","containers":[{{"name":"c","image":"pause","resources":{{"requests":{{"cpu":"10m","memory":"16Mi"}}}}}}],"tolerations":[{{"key":"kperf.io/nodepool","operator":"Exists","effect":"NoSchedule"}}]}},"status":{{"phase":"Running","podIP":"10.0.{}.{}","conditions":[{{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}}]}}}}"#,
            i / 250,
            i % 250,
        )
    };
    format!(r#"{{"kind":"PodList","items":[{}]}}"#, (0..PODS).map(pod).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_is_work() {
        assert!(
            serde_json::from_str::<serde_json::Value>(&list_of_pods()).unwrap()["items"].as_array().unwrap().len()
                == PODS
        );
        assert!(Yardstick::new().measure() > Duration::ZERO);
    }
}
