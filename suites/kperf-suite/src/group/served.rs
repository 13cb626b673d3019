//! Requests of runners as the apiserver counts them: those that it dispatched by the group's own FlowSchema.

use kperf::runnergroup::RUNNER;
use kube::Client;
use measure::promtext::samples;

/// The count of one apiserver process, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Served {
    /// When the process began: what another one counts is no continuation.
    process: Option<f64>,
    requests: f64,
}

impl Served {
    /// Reads `/metrics`; a page that cannot be read is of no process.
    pub(super) async fn read(client: &Client) -> Self {
        let Ok(request) = http::Request::get("/metrics").body(Vec::new()) else { return Self::default() };
        client.request_text(request).await.map(|page| Self::of(&page)).unwrap_or_default()
    }

    fn of(page: &str) -> Self {
        let mut served = Self::default();
        for sample in samples(page) {
            match sample.name {
                "process_start_time_seconds" => served.process = Some(sample.value),
                "apiserver_flowcontrol_dispatched_requests_total" if sample.label("flow_schema") == Some(RUNNER) => {
                    served.requests += sample.value;
                }
                _ => {}
            }
        }
        served
    }

    /// Requests since `before`, if the same process counted them.
    pub(super) fn since(&self, before: &Self) -> Option<f64> {
        (self.process.is_some() && self.process == before.process).then_some(self.requests - before.requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTED: &str = "apiserver_flowcontrol_dispatched_requests_total{flow_schema=\"kperf-runner\",priority_level=\"workload-low\"} 40\n\
        apiserver_flowcontrol_dispatched_requests_total{flow_schema=\"service-accounts\",priority_level=\"workload-low\"} 7\n";

    #[test]
    fn only_the_groups_own_requests_of_one_process_are_counted() {
        let page =
            |process: u32, counted: &str| Served::of(&format!("process_start_time_seconds {process}\n{counted}"));
        assert_eq!(page(1, COUNTED).since(&page(1, "")), Some(40.0));
        assert_eq!(page(2, COUNTED).since(&page(1, "")), None);
        assert_eq!(Served::default().since(&Served::default()), None);
    }
}
